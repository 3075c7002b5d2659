"""Chances by hand, and beside patches that are drawn."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.data.scans.crop_cache import CachedScan
from medssl_jax.data.scans.exposure import nodule_chances
from medssl_jax.data.scans.patches import PatchSettings, draw_labelled, draw_unlabelled
from medssl_jax.imaging.geometry import Grid

SETTINGS = PatchSettings(
    side=16,
    labelled_batch=1,
    unlabelled_batch=1,
    max_objects=4,
    nodule_share=0.7,
    unlabelled_nodule_share=0.0,
    jitter=4,
    scale_range=(0.8, 1.25),
    symmetry_group="flips",
    loader_threads=1,
)


def scan_with(*centres, shape=(48, 40, 44)):
    boxes = np.array([[*centre, 1, 1, 1] for centre in centres], np.float32).reshape(-1, 6)
    return CachedScan(
        series_uid="made",
        subset=0,
        grid=Grid(shape, (1.0, 1.0, 1.0)),
        boxes_zyxdhw_voxel=boxes,
        hu_zyx=np.zeros(shape, np.int16),
        lungs_zyx=np.ones(shape, np.uint8),
        places_zyx=np.argwhere(np.ones([side // 4 for side in shape])).astype(np.int16) * 4 + 2,
    )


def test_by_hand():
    """Places 2, 6, ... along each axis; a patch of 16 reaches 8: of 12, 10 and 11 places 4 see the middle one."""
    settings = dataclasses.replace(SETTINGS, scale_range=(1.0, 1.0), unlabelled_nodule_share=0.5)
    middle = (23.0, 19.0, 23.0)
    found = nodule_chances([scan_with(middle), scan_with()], settings)
    chance = 4**3 / (12 * 10 * 11)
    assert found.uniform == pytest.approx(chance)
    assert found.labelled == pytest.approx(0.7 + 0.3 * chance)
    assert found.unlabelled == pytest.approx(0.5 + 0.5 * chance)
    assert found.patches_with_nodule == pytest.approx(chance / 2)  # the other scan has none
    two = nodule_chances([scan_with(middle, middle)], settings)
    assert two.labelled == pytest.approx(0.35 + 0.3 * chance)
    assert two.patches_with_nodule == pytest.approx(chance)
    assert nodule_chances([scan_with()], settings) is None


def test_beside_drawn_patches():
    scan = scan_with((20.0, 9.0, 30.0), (38.0, 30.0, 12.0))
    found = nodule_chances([scan], SETTINGS)

    def holds(patch):
        inside = (np.abs(patch["boxes_zyxdhw"][:, :3] - 7.5) < 8).all(1)
        return inside & patch["valid"]

    uniform = [
        holds(draw_unlabelled(scan, np.random.default_rng(seed), SETTINGS, keep_boxes=True)) for seed in range(3000)
    ]
    labelled = [holds(draw_labelled(scan, np.random.default_rng(seed), SETTINGS)) for seed in range(1000)]
    assert found.uniform == pytest.approx(np.sum(uniform) / 2 / 3000, abs=0.01)
    assert found.patches_with_nodule == pytest.approx(np.any(uniform, axis=1).mean(), abs=0.015)
    assert found.labelled == pytest.approx(np.sum(labelled) / 2 / 1000, abs=0.03)
