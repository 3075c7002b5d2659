"""Nodules and masks, beside SimpleITK's dilation, which is what training looks through."""

import numpy as np
import pytest

from medssl_jax.data.scans.preparation import LUNG_DILATION_MM
from medssl_jax.data_check.check_scan import distance_to_mask_mm, value_defects
from medssl_jax.data_check.sampling import VolumeSample
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.volumes import Volume

FLIPPED = Grid((24, 24, 24), (1.0, 1.0, 1.0), (-5.0, 7.0, 30.0), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))


def test_inside_the_dilated_mask_is_near_it_and_outside_is_not():
    sitk = pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(0)
    labels = np.zeros(FLIPPED.size_zyx, np.uint8)
    labels[6:11, 8:13, 9:15] = 3
    labels[20, 20, 20] = 5
    mask = Volume(labels, FLIPPED, "scan")
    image = sitk.GetImageFromArray((labels == 3).astype(np.uint8))
    radius = round(LUNG_DILATION_MM)
    dilated = sitk.GetArrayFromImage(sitk.BinaryDilate(image, [radius] * 3, sitk.sitkBall))
    for voxel in rng.integers(0, 24, (400, 3)):
        centre = voxel_zyx_to_world_xyz_mm(voxel[None].astype(float), FLIPPED)[0]
        distance = distance_to_mask_mm(centre, mask, (3, 4))
        if dilated[tuple(voxel)]:
            assert distance <= LUNG_DILATION_MM
        # Edges of voxels count here, and centres there: half a voxel on each axis.
        elif np.isfinite(distance):
            assert distance > LUNG_DILATION_MM - np.sqrt(3) / 2


def test_distance_is_in_mm_along_each_axis():
    grid = Grid((9, 9, 9), (2.5, 1.0, 0.5))
    labels = np.zeros(grid.size_zyx, np.uint8)
    labels[4, 4, 4] = 1
    mask = Volume(labels, grid, "scan")
    for voxel, expected in (((4, 4, 4), 0), ((5, 4, 4), 1.25), ((4, 6, 4), 1.5), ((4, 4, 8), 1.75)):
        centre = voxel_zyx_to_world_xyz_mm(np.array([voxel], float), grid)[0]
        assert distance_to_mask_mm(centre, mask, None) == pytest.approx(expected)
    assert distance_to_mask_mm(np.array([1000.0, 0, 0]), mask, None) == np.inf


@pytest.mark.parametrize(
    ("low", "high", "kinds"),
    [
        (-1024, 3071, []),
        (-1255, 1474, []),
        (0, 4095, ["not in HU"]),
        (-1024, -500, ["not in HU"]),
        (0.0, 1.0, ["not in HU"]),
        (-1024, 25000, ["HU out of range"]),
        (-3000, 1000, ["HU out of range"]),
        (float("nan"), float("nan"), ["not in HU"]),
    ],
)
def test_values(low, high, kinds):
    sample = VolumeSample(FLIPPED, float(low), float(high), None, 0.0, False, "")
    assert [defect.kind for defect in value_defects("scan", sample)] == kinds
