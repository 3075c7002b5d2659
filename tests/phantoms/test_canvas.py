"""Windows and tubes against brute force over the whole grid, and drawn volumes against geometry."""

import numpy as np
import pytest

from medssl_jax.phantoms.canvas import LUNG_HU, Canvas, Tubes, capsule_distance_mm, draw_air, draw_dense, window


def canvas(step=0.5, half=8.0, hu=LUNG_HU):
    axis = np.arange(-half, half + step / 2, step, dtype=np.float32)
    return Canvas(np.full((len(axis),) * 3, hu, np.float32), (axis, axis, axis))


def tube(start, end, radius=2.0):
    return Tubes(np.array([start], float), np.array([end], float), np.array([radius]), np.array([radius]))


def points(axis):
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)


@pytest.mark.parametrize("radii", [(2.0, 2.0), (3.0, 1.0), (1.0, 2.5)])
def test_tube_distance_agrees_with_many_spheres_along_the_axis(radii):
    start, end = np.array([-3.0, 1.0, -2.0]), np.array([4.0, -2.0, 3.0])
    places = np.random.default_rng(0).uniform(-8, 8, (500, 3))
    shares = np.linspace(0, 1, 4001)[:, None]
    # The tube's own rule: the radius belongs to the foot of the perpendicular.
    nearest = [np.argmin(np.linalg.norm(start + shares * (end - start) - place, axis=1)) for place in places]
    on_axis = start + shares[nearest] * (end - start)
    expected = np.linalg.norm(places - on_axis, axis=1) - (radii[0] + shares[nearest, 0] * (radii[1] - radii[0]))
    found = capsule_distance_mm(tuple(places.T.astype(np.float32)), start, end, *radii)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_window_holds_exactly_the_voxels_between_the_corners():
    image = canvas()
    low, high = (-2.2, 0.0, 5.1), (1.0, 3.3, 99.0)
    slices, (z, y, x) = window(image.axes_mm, low, high)
    inside = np.all((points(image.axes_mm[0]) >= low) & (points(image.axes_mm[0]) <= high), axis=1).reshape(
        image.hu.shape
    )
    assert inside[slices].all()
    assert inside.sum() == inside[slices].size
    assert z.size * y.size * x.size == inside[slices].size


def test_window_outside_the_grid_is_empty():
    image = canvas()
    slices, _ = window(image.axes_mm, (20, 20, 20), (30, 30, 30))
    assert image.hu[slices].size == 0
    draw_dense(image, tube((20, 20, 20), (30, 30, 30)), 40.0, 0.5)
    assert (image.hu == LUNG_HU).all()


def test_drawn_tube_has_the_volume_of_a_cylinder_with_round_ends():
    image = canvas()
    draw_dense(image, tube((-4, 0.1, 0.2), (4, 0.1, 0.2)), 40.0, 0.8)
    drawn_mm3 = ((image.hu - LUNG_HU) / (40.0 - LUNG_HU)).sum() * 0.5**3
    assert drawn_mm3 == pytest.approx(np.pi * 4 * 8 + 4 / 3 * np.pi * 8, rel=0.03)


def test_dense_tubes_never_darken_and_air_never_brightens():
    image = canvas(hu=100.0)
    draw_dense(image, tube((0, 0, 0), (3, 0, 0)), 40.0, 0.5)
    assert (image.hu == 100).all()
    draw_air(image, tube((0, 0, 0), (3, 0, 0)), 0.5)
    assert image.hu.min() == -1000
    assert image.hu.max() == 100
