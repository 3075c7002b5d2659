"""From one grid to another: values worked out by hand along one axis."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.imaging import resampling
from medssl_jax.imaging.geometry import Grid, isotropic_grid, upright_grid
from medssl_jax.imaging.resampling import resample_linear, resample_nearest

ROW = np.array([[[10, 20]]], np.int16)
GRID = Grid((1, 1, 2), (1.0, 1.0, 2.0), (5.0, 0.0, 0.0))  # centres at x = 5 and 7 mm


def onto(first_x_mm, voxels):
    return Grid((1, 1, voxels), (1.0, 1.0, 0.5), (first_x_mm, 0.0, 0.0))


def test_between_voxels_it_is_linear_and_beyond_them_as_at_the_edge():
    found = resample_linear(ROW, GRID, onto(3.0, 16))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], [*[10] * 5, 12.5, 15, 17.5, *[20] * 8], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_the_nearest_is_kept_as_it_is_and_beyond_the_voxels_is_nothing(dtype):
    found = resample_nearest(ROW.astype(dtype), GRID, onto(3.25, 11))
    assert found.dtype == dtype
    assert found[0, 0].tolist() == [0, 0, 10, 10, 10, 10, 20, 20, 20, 20, 0]


TURNED = Grid((7, 9, 11), (2.5, 0.7, 1.1), (3.0, -4.0, 9.0), (0.0, -1.0, 0.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0))


@pytest.mark.parametrize("spacing_mm", [0.8, 0.9, 2.0])
@pytest.mark.parametrize("resample", [resample_linear, resample_nearest])
def test_axis_by_axis_is_simpleitks(monkeypatch, resample, spacing_mm):
    """There and back, from a grid whose axes are turned and flipped."""
    array = np.random.default_rng(0).integers(-1000, 400, TURNED.size_zyx).astype(np.int16)
    upright = isotropic_grid(upright_grid(TURNED), spacing_mm)
    there = resample(array, TURNED, upright)
    back = resample(there, upright, TURNED)
    monkeypatch.setattr(resampling, "_parallel_axes", lambda grid, onto: None)
    np.testing.assert_allclose(there, resample(array, TURNED, upright), rtol=0, atol=1e-2)
    np.testing.assert_allclose(back, resample(there, upright, TURNED), rtol=0, atol=1e-2)


def test_a_mirror_image_is_resampled_to_the_mirror_image():
    """To the last bit, or the same scan stored head first or feet first would be rounded to other HU."""
    straight = Grid((16, 60, 72), (2.5, 1.5, 1.25), (-45.0, -44.0, 0.0))
    turned = dataclasses.replace(
        straight,
        origin_xyz_mm=(-45.0 + 71 * 1.25, -44.0 + 59 * 1.5, 0.0),
        direction=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    )
    array = np.random.default_rng(0).integers(-1000, 400, straight.size_zyx).astype(np.int16)
    onto = isotropic_grid(upright_grid(straight), 1.0)
    expected = resample_linear(array, straight, onto)
    np.testing.assert_array_equal(resample_linear(array[:, ::-1, ::-1], turned, onto), expected)


def test_half_a_voxel_beyond_the_last_it_is_as_at_the_edge():
    """SimpleITK rounds this place up and reads the voxel that follows in memory."""
    array = np.array([[[1, 2], [30, 40]]], np.int16)
    found = resample_linear(array, Grid((1, 2, 2), (1.0, 1.0, 1.0)), Grid((1, 2, 1), (1.0, 1.0, 1.0), (1.5, 0.0, 0.0)))
    assert found.ravel().tolist() == [2, 40]


def test_axes_that_are_not_parallel_are_simpleitks():
    array = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    askew = Grid((3, 3, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))
    straight = Grid((3, 3, 3), (1.0, 1.0, 1.0))
    found = resample_linear(array, straight, askew)
    assert found[0, 0, 1] == pytest.approx(0.8 * 1 + 0.6 * 3, abs=1e-5)
    assert resample_nearest(array, straight, askew)[0, 0, 1] == 4
