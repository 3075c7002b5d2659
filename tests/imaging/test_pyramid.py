"""Coarser grids against SciPy's Gaussian, on arrays of any size."""

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.imaging.pyramid import doubled, halved, smoothed


def blobs(size=(41, 30, 37)):
    return ndimage.gaussian_filter(np.random.default_rng(0).normal(size=size), 4) > 0


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.5, 2.5, 4.0, 10.0])
def test_smoothed_is_nearly_a_gaussian(scale):
    mask = blobs()
    expected = ndimage.gaussian_filter(mask.astype(np.float32), scale, mode="nearest")
    found = smoothed(mask, scale)
    inner = np.s_[3:-3, 3:-3, 3:-3]
    np.testing.assert_allclose(found[inner], expected[inner], rtol=0, atol=0.11)
    assert ((found > 0.5) != (expected > 0.5)).mean() < 0.04
    np.testing.assert_allclose(smoothed(mask.astype(np.float32), scale), found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 2, 9), (8, 9, 10)])
def test_what_is_the_same_everywhere_stays(size):
    mask = np.ones(size, bool)
    for scale in (1.0, 4.0):
        np.testing.assert_allclose(smoothed(mask, scale), 1)


def test_halves_are_means_and_doubles_lie_between_them():
    row = np.arange(5, dtype=np.float32)[None, None]
    assert halved(row).tolist() == [[[0.5, 2.5, 4.0]]]
    assert doubled(halved(row), row.shape).tolist() == [[[0.5, 1.0, 2.0, 2.875, 3.625]]]
    assert halved(np.array([[[True, False], [False, False]]])).tolist() == [[[0.25]]]
