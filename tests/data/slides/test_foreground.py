"""A patch is background exactly where its part of the low-resolution image is dark on average."""

import numpy as np
import pytest

from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.imaging.slides import SlideLayout

LAYOUT = SlideLayout(grid=3, patch_side=8, shrink=2)


def black():
    return np.zeros((LAYOUT.low_side, LAYOUT.low_side), np.uint8)


def test_patches_are_numbered_row_by_row():
    image = black()
    image[5, 9] = 255  # row 1, column 2 of the grid
    assert foreground_patches(image, LAYOUT).tolist() == [index == 5 for index in range(9)]


@pytest.mark.parametrize(("grey_levels", "expected"), [(16, False), (17, True)])
def test_at_the_threshold_a_patch_is_background(grey_levels, expected):
    image = black()
    image[0, 0] = grey_levels  # 16 grey levels over 16 pixels are 1 on average
    assert foreground_patches(image, LAYOUT, 1.0)[0] == expected


def test_agrees_with_taking_each_patch_out():
    image = np.random.default_rng(0).integers(0, 60, (LAYOUT.low_side,) * 2).astype(np.uint8)
    expected = [
        np.mean(image[row : row + 4, column : column + 4].astype(float)) > 30
        for row in range(0, 12, 4)
        for column in range(0, 12, 4)
    ]
    assert 0 < sum(expected) < 9
    assert foreground_patches(image, LAYOUT, 30.0).tolist() == expected


def test_an_all_black_slide_has_no_foreground():
    assert not foreground_patches(black(), LAYOUT, 0.0).any()
