"""Against the true lungs of synthetic chests, with nodules on the pleura, lungs that touch and thin walls."""

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.data.scans.preparation import LUNA16_LUNG_LABELS, LUNG_DILATION_MM
from medssl_jax.imaging.geometry import isotropic_grid, upright_grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.resampling import resample_nearest
from medssl_jax.imaging.volumes import Volume
from medssl_jax.phantoms.chests.scan import render_scan
from medssl_jax.phantoms.chests.spec import Luna16Phantom

SMALL = Luna16Phantom(seed=0, scans=50, chest_zyx_mm=(80, 112, 128))
FULL_SIZE = Luna16Phantom(seed=0, scans=2)


def check(spec, index, nodule_labels):
    scan = render_scan(spec, index)
    mask = segment_lungs(Volume(scan.hu, scan.grid, scan.truth.series_uid))
    lungs = np.isin(scan.lungs, LUNA16_LUNG_LABELS)
    assert 2 * (mask & lungs).sum() / (mask.sum() + lungs.sum()) >= 0.97

    grid = isotropic_grid(upright_grid(scan.grid), 1.0)
    on_grid = resample_nearest(mask, scan.grid, grid)
    near = ndimage.distance_transform_edt(on_grid == 0) <= LUNG_DILATION_MM
    assert near[resample_nearest(nodule_labels(scan), scan.grid, grid) > 0].all()
    for nodule in scan.truth.nodules:
        centre = np.array([nodule.centre_xyz_mm])
        assert mask[tuple(np.rint(world_xyz_mm_to_voxel_zyx(centre, scan.grid)[0]).astype(int))]


@pytest.mark.parametrize(
    "index",
    [
        17,  # flipped, a nodule on the pleura
        47,  # the lungs touch in front of the heart
        49,  # a wall thinner than the couch
    ],
)
def test_small_chests(index, nodule_labels):
    check(SMALL, index, nodule_labels)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(0, SMALL.scans, 6))
def test_more_small_chests(index, nodule_labels):
    check(SMALL, index, nodule_labels)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(FULL_SIZE.scans))
def test_chests_of_full_size(index, nodule_labels):
    check(FULL_SIZE, index, nodule_labels)
