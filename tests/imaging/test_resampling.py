"""From one grid to another: values worked out by hand along one axis."""

import numpy as np
import pytest

from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.resampling import resample_linear, resample_nearest

ROW = np.array([[[10, 20]]], np.int16)
GRID = Grid((1, 1, 2), (1.0, 1.0, 2.0), (5.0, 0.0, 0.0))  # centres at x = 5 and 7 mm


def onto(first_x_mm, voxels):
    return Grid((1, 1, voxels), (1.0, 1.0, 0.5), (first_x_mm, 0.0, 0.0))


def test_between_voxels_it_is_linear_and_beyond_them_as_at_the_edge():
    found = resample_linear(ROW, GRID, onto(3.0, 12))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], [10, 10, 10, 10, 10, 12.5, 15, 17.5, 20, 20, 20, 20], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_the_nearest_is_kept_as_it_is_and_beyond_the_voxels_is_nothing(dtype):
    found = resample_nearest(ROW.astype(dtype), GRID, onto(3.25, 11))
    assert found.dtype == dtype
    assert found[0, 0].tolist() == [0, 0, 10, 10, 10, 10, 20, 20, 20, 20, 0]
