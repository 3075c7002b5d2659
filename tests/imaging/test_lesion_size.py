"""Sizes of ellipsoids that are known, and what is no lesion."""

import numpy as np
import pytest

from medssl_jax.imaging.lesion_size import lesion_size

SPACING_ZYX_MM = (1.5, 0.7, 0.8)
CENTRE_ZYX = np.array([20.3, 40.2, 35.4])


def ellipsoid(radii_zyx_mm, *, turned=0.0, hu=50, shape=(40, 80, 70)):
    """Lung with an ellipsoid at `CENTRE_ZYX`, turned in the axial plane by an angle."""
    z, y, x = (
        (index - middle) * mm for index, middle, mm in zip(np.indices(shape), CENTRE_ZYX, SPACING_ZYX_MM, strict=True)
    )
    y, x = y * np.cos(turned) - x * np.sin(turned), y * np.sin(turned) + x * np.cos(turned)
    inside = sum((along / radius) ** 2 for along, radius in zip((z, y, x), radii_zyx_mm, strict=True)) < 1
    return np.where(inside, hu, -850).astype(np.int16)


@pytest.mark.parametrize("turned", [0.0, 0.7])
def test_an_ellipsoid_has_its_axes_its_volume_and_its_density(turned):
    size = lesion_size(ellipsoid((7, 9, 6), turned=turned), SPACING_ZYX_MM, CENTRE_ZYX, 15.0)
    assert size.long_mm == pytest.approx(18, rel=0.03)
    assert size.short_mm == pytest.approx(12, rel=0.03)
    assert size.volume_mm3 == pytest.approx(4 / 3 * np.pi * 7 * 9 * 6, rel=0.03)
    assert size.mean_hu == 50


def test_a_single_voxel_is_as_large_as_a_voxel():
    hu = np.full((5, 5, 5), -850, np.int16)
    hu[2, 2, 2] = 0
    size = lesion_size(hu, (1.0, 1.0, 1.0), np.array([2.0, 2, 2]), 3.0)
    assert size.volume_mm3 == 1
    assert size.long_mm == size.short_mm == pytest.approx(4 / np.sqrt(12))  # the ellipse with a square's moments


def test_what_lies_beside_does_not_count():
    hu = ellipsoid((5, 5, 5))
    alone = lesion_size(hu, SPACING_ZYX_MM, CENTRE_ZYX, 14.0)
    hu[18:23, 40:43, 43:45] = 60  # 6 to 7.5 mm away, within the ball
    assert lesion_size(hu, SPACING_ZYX_MM, CENTRE_ZYX, 14.0) == alone
    hu[20, 40, 38:45] = 60  # a vessel joins them
    assert lesion_size(hu, SPACING_ZYX_MM, CENTRE_ZYX, 14.0).volume_mm3 > alone.volume_mm3


def test_a_wall_counts_within_the_ball_alone():
    hu = ellipsoid((5, 5, 5))
    hu[:, 46:] = 40
    size = lesion_size(hu, SPACING_ZYX_MM, CENTRE_ZYX, 10.0)
    assert size.long_mm < 2 * (0.6 * 10 + 1)


def test_a_ground_glass_lesion_is_outlined_half_way_to_lung():
    """A threshold for solid ones would not see it."""
    size = lesion_size(ellipsoid((7, 9, 6), hu=-600), SPACING_ZYX_MM, CENTRE_ZYX, 15.0)
    assert (size.mean_hu, round(size.long_mm)) == (-600, 18)


@pytest.mark.parametrize(("hu", "centre"), [(-800, CENTRE_ZYX), (50, CENTRE_ZYX + 500)])
def test_nothing_dense_has_no_size(hu, centre):
    assert lesion_size(ellipsoid((7, 9, 6), hu=hu), SPACING_ZYX_MM, centre, 15.0) is None
