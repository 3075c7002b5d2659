"""Sampling against SciPy, distances against spheres."""

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.phantoms.fields import (
    CoarseGrid,
    PlaneSampler,
    distance_from_level,
    smooth_max,
    smooth_min,
    smooth_noise,
)

GRID = CoarseGrid.covering((30.0, 40.0, 50.0), 2.0)


def test_planes_agree_with_linear_interpolation_by_scipy():
    field = np.random.default_rng(0).standard_normal(GRID.size_zyx).astype(np.float32)
    y_mm, x_mm = np.linspace(-20, 20, 53, dtype=np.float32), np.linspace(-25, 25, 71, dtype=np.float32)
    for z in (-15.0, 0.3, 14.9):
        y, x = np.meshgrid(y_mm, x_mm, indexing="ij")
        places = (np.full_like(y, z, float), y.astype(float), x.astype(float))
        index = [GRID.index(place, axis) for axis, place in enumerate(places)]
        expected = ndimage.map_coordinates(field, index, order=1)
        np.testing.assert_allclose(PlaneSampler(GRID, y_mm, x_mm)(field, z), expected, atol=1e-4)


def test_grid_covers_the_extent_and_is_centred():
    for axis, extent in zip(GRID.coordinates(), (30, 40, 50), strict=True):
        assert axis.min() <= -extent / 2
        assert axis.max() >= extent / 2
        assert axis.mean() == pytest.approx(0, abs=1e-5)


def test_distance_to_an_ellipsoid_is_exact_at_its_surface_and_has_slope_one_there():
    z, y, x = GRID.coordinates()
    distance = distance_from_level(np.sqrt((z / 8) ** 2 + (y / 12) ** 2 + (x / 15) ** 2) - 1, GRID.step_mm)
    surface = np.array([[8.0, 0, 0], [0, 12, 0], [0, 0, -15], [8 / 3**0.5, 12 / 3**0.5, 15 / 3**0.5]])
    np.testing.assert_allclose(GRID.at_points(distance, surface), 0, atol=0.25)
    slope = np.linalg.norm(GRID.gradient_at_points(distance, surface), axis=1)
    np.testing.assert_allclose(slope, 1, atol=0.25)


def test_smooth_minimum_and_maximum_differ_from_the_sharp_ones_only_near_the_crease():
    a, b = np.array([5.0, 0.0, -3.0]), np.array([0.0, 0.0, 4.0])
    np.testing.assert_allclose(smooth_max(a, b, 2.0), [5, 0.5, 4])
    np.testing.assert_allclose(smooth_min(a, b, 2.0), [0, -0.5, -3])


@pytest.mark.parametrize("grain_mm", [3.0, 9.0, 30.0])
def test_noise_has_unit_spread_and_its_grain_grows(grain_mm):
    grid = CoarseGrid.covering((120.0, 120.0, 120.0), 2.0)
    noise = smooth_noise(np.random.default_rng(0), grid, grain_mm)
    assert noise.shape == grid.size_zyx
    assert 0.6 < noise.std() < 1.3
    # Neighbours half a grain apart are alike, four grains apart are not.
    near, far = round(grain_mm / 4 / 2), round(3 * grain_mm / 2)
    if near:
        assert np.corrcoef(noise[:-near].ravel(), noise[near:].ravel())[0, 1] > 0.6
    if far < len(noise) // 2:
        assert abs(np.corrcoef(noise[:-far].ravel(), noise[far:].ravel())[0, 1]) < 0.35
