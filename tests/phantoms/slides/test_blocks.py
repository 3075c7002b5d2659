"""Fields against SciPy's interpolation; noise that knows neither blocks nor margins."""

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.phantoms.slides.blocks import BlockGrid, smooth_noise

GRID = BlockGrid(block=8, side=256, before_yx=(5, 16), after_yx=(0, 9))


def test_whole_blocks_cover_the_file_and_no_more():
    for axis in range(2):
        first, count = GRID.first_yx[axis], GRID.blocks_yx[axis]
        assert 0 <= -first * 8 - GRID.before_yx[axis] < 8
        assert 0 <= (first + count) * 8 - (256 + GRID.after_yx[axis]) < 8


def test_pixels_agree_with_linear_interpolation_by_scipy():
    field = np.random.default_rng(0).standard_normal(np.array(GRID.blocks_yx) + 1).astype(np.float32)
    rows, columns = slice(2, 5), slice(1, 30)
    y, x = (s.start + (np.arange((s.stop - s.start) * 8) + 0.5) / 8 for s in (rows, columns))
    expected = ndimage.map_coordinates(field, np.meshgrid(y, x, indexing="ij"), order=1)
    np.testing.assert_allclose(GRID.pixels(field, rows, columns), expected, atol=1e-5)


def test_corners_are_shares_of_the_crop():
    y, x = GRID.corners()
    assert y.shape == (GRID.blocks_yx[0] + 1, 1)
    assert x.shape == (1, GRID.blocks_yx[1] + 1)
    assert y[-GRID.first_yx[0], 0] == 0
    assert x[0, -GRID.first_yx[1] + 32] == 1


@pytest.mark.parametrize("grain", [0.06, 0.1, 0.25])
def test_noise_has_unit_spread_and_its_grain_grows(grain):
    noises = [smooth_noise(np.random.default_rng(seed), GRID, grain) for seed in range(20)]
    assert np.std(noises) == pytest.approx(1, abs=0.15)
    near = max(1, round(0.4 * grain * 32))
    far = round(4 * grain * 32)
    assert np.mean([n[near:] * n[:-near] for n in noises]) > 0.6 * np.var(noises)
    if far < 30:
        assert abs(np.mean([n[far:] * n[:-far] for n in noises])) < 0.25


def test_noise_is_the_same_whatever_the_margin_and_the_blocks():
    plain, fine = BlockGrid(8, 256, (0, 0), (0, 0)), BlockGrid(4, 256, (0, 0), (0, 0))
    expected = smooth_noise(np.random.default_rng(0), plain, 0.1)
    cut = tuple(slice(-first, -first + 33) for first in GRID.first_yx)
    np.testing.assert_allclose(smooth_noise(np.random.default_rng(0), GRID, 0.1)[cut], expected, atol=1e-5)
    np.testing.assert_allclose(smooth_noise(np.random.default_rng(0), fine, 0.1)[::2, ::2], expected, atol=1e-5)
