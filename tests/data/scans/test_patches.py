"""Crops whose truth is painted into the voxels: a box must lie on what was drawn, however the crop was turned."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from medssl_jax.data.scans.crop_cache import OUTSIDE_HU, CachedScan
from medssl_jax.data.scans.patches import (
    PatchSettings,
    cut_window,
    draw_labelled,
    draw_unlabelled,
    normalise_hu,
    scale_windows,
)
from medssl_jax.data.scans.pseudo_boxes import PseudoBoxes
from medssl_jax.imaging.geometry import Grid

SETTINGS = PatchSettings(
    side=32,
    labelled_batch=1,
    unlabelled_batch=1,
    max_objects=4,
    nodule_share=1.0,
    unlabelled_nodule_share=0.0,
    jitter=6,
    scale_range=(0.75, 1.25),
    symmetry_group="cube",
    loader_threads=1,
)


def bright_nodules(*boxes, shape=(60, 70, 80)):
    """A scan of air in which the cube of each box is at 600 HU."""
    hu = np.full(shape, -1200, np.int16)
    for z, y, x, *extent in boxes:
        low = [round(c - (e - 1) / 2) for c, e in zip((z, y, x), extent, strict=True)]
        hu[tuple(slice(a, a + int(e)) for a, e in zip(low, extent, strict=True))] = 600
    return CachedScan(
        series_uid="made",
        subset=0,
        grid=Grid(shape, (1.0, 1.0, 1.0)),
        boxes_zyxdhw_voxel=np.array(boxes, np.float32).reshape(-1, 6),
        hu_zyx=hu,
        lungs_zyx=np.ones(shape, np.uint8),
        places_zyx=np.argwhere(np.ones((3, 3, 3))).astype(np.int16) * 20 + 5,
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_box_lies_on_the_nodule(seed):
    scan = bright_nodules((30.0, 36.0, 41.0, 9.0, 9.0, 9.0))
    patch = draw_labelled(scan, np.random.default_rng(seed), SETTINGS)
    voxels = np.asarray(scale_windows(jnp.array(patch["window_hu"])[None], jnp.array(patch["scale"])[None], 32))
    weight = (voxels[0, ..., 0] + 1) / 2
    centre = [(weight * index).sum() / weight.sum() for index in np.indices(weight.shape)]
    assert patch["valid"].sum() == 1
    np.testing.assert_allclose(patch["boxes_zyxdhw"][0, :3], centre, atol=0.15)
    assert patch["boxes_zyxdhw"][0, 3] == pytest.approx(weight.sum() ** (1 / 3), rel=0.03)


def offsets_of_nodule(**changes):
    """From the middle of 50 patches to the nodule they were drawn for, in voxels of the scan."""
    scan = bright_nodules((30.3, 36.6, 41.0, 5.0, 5.0, 5.0))
    settings = dataclasses.replace(SETTINGS, **changes)
    patches = [draw_labelled(scan, np.random.default_rng(seed), settings) for seed in range(50)]
    return np.array([(patch["boxes_zyxdhw"][0, :3] - 15.5) / patch["scale"] for patch in patches])


def test_the_jitter_goes_as_far_as_it_may_to_every_side():
    offsets = offsets_of_nodule(jitter=6)
    assert (np.abs(offsets) <= 6 + 0.5 + 1e-4).all()
    assert (offsets.min(0) < -5).all()
    assert (offsets.max(0) > 5).all()
    # Anything between is as likely.
    np.testing.assert_allclose(np.quantile(np.abs(offsets), [0.25, 0.5, 0.75]), [1.5, 3, 4.5], atol=0.5)


def test_without_jitter_a_nodule_is_as_near_the_middle_as_voxels_allow():
    offsets = offsets_of_nodule(jitter=0)
    assert (np.abs(offsets) <= 0.5 + 1e-4).all()
    assert np.abs(offsets).max() > 0.25


def test_so_many_patches_as_are_wanted_lie_round_a_nodule():
    """A patch drawn in the lungs of this scan misses its nodule: the places lie in another corner."""
    scan = bright_nodules((50.0, 60.0, 70.0, 5.0, 5.0, 5.0))
    scan = dataclasses.replace(scan, places_zyx=np.full((1, 3), 5, np.int16))
    for share in (0.0, 0.3, 1.0):
        settings = dataclasses.replace(SETTINGS, nodule_share=share)
        shown = [draw_labelled(scan, np.random.default_rng(seed), settings)["valid"].any() for seed in range(300)]
        assert np.mean(shown) == pytest.approx(share, abs=0.08)


def test_a_scan_without_nodules_is_normal():
    patch = draw_labelled(bright_nodules(), np.random.default_rng(0), SETTINGS)
    assert not patch["valid"].any()
    assert not patch["boxes_zyxdhw"].any()


def test_the_nearest_nodules_are_kept_where_there_are_too_many():
    boxes = [(30.0 + dz, 36.0, 41.0, 3.0, 3.0, 3.0) for dz in (-8, -4, 0, 4, 8)]
    scan = bright_nodules(*boxes)
    settings = dataclasses.replace(SETTINGS, max_objects=2, jitter=0, scale_range=(1.0, 1.0))
    patch = draw_labelled(scan, np.random.default_rng(1), settings)
    assert patch["valid"].all()
    distances = np.abs(patch["boxes_zyxdhw"][:, :3] - 15.5).max(1)
    assert (distances <= 4.6).all()


def test_of_nodules_equally_far_the_first_are_kept():
    """On every machine: NumPy's plain sort leaves the order of equals to the processor."""
    boxes = [(30.0 + 2 * (number % 2), 36.0, 41.0, *[3 + number / 10] * 3) for number in range(40)]
    scan = dataclasses.replace(bright_nodules(*boxes), places_zyx=np.array([[28, 36, 41]], np.int16))
    settings = dataclasses.replace(SETTINGS, nodule_share=0.0, scale_range=(1.0, 1.0))
    kept = draw_labelled(scan, np.random.default_rng(0), settings)["boxes_zyxdhw"]
    np.testing.assert_allclose(kept[:, 3], [3.0, 3.2, 3.4, 3.6], rtol=1e-6)


def test_no_label_of_an_unlabelled_scan_is_seen():
    scan = bright_nodules((30.0, 36.0, 41.0, 9.0, 9.0, 9.0))
    poisoned = dataclasses.replace(scan, boxes_zyxdhw_voxel=np.full((1, 6), np.nan, np.float32))
    for seed in range(5):
        plain, other = (draw_unlabelled(each, np.random.default_rng(seed), SETTINGS) for each in (scan, poisoned))
        assert not plain["valid"].any()
        for name in plain:
            np.testing.assert_array_equal(plain[name], other[name])


def test_an_oracle_s_share_lies_round_hidden_nodules_and_hands_none_on():
    nodule = np.array([30.0, 36.0, 41.0])
    scan = bright_nodules((*nodule, 9.0, 9.0, 9.0))
    settings = dataclasses.replace(SETTINGS, unlabelled_nodule_share=0.5, scale_range=(1.0, 1.0))
    near = []
    for seed in range(80):
        patch = draw_unlabelled(scan, np.random.default_rng(seed), settings)
        assert not patch["valid"].any()
        kept = draw_unlabelled(scan, np.random.default_rng(seed), settings, keep_boxes=True)
        np.testing.assert_array_equal(patch["window_hu"], kept["window_hu"])
        near.append(kept["valid"][0] and bool((np.abs(kept["boxes_zyxdhw"][0, :3] - 15.5) <= 6.5).all()))
    assert 0.35 < np.mean(near) < 0.7


def test_a_share_of_the_patches_lies_round_candidates():
    scan = bright_nodules((30.0, 36.0, 41.0, 9.0, 9.0, 9.0))
    candidates = np.array([[20.0, 22.0, 24.0], [44.0, 45.0, 46.0]])
    marked = np.zeros_like(scan.hu_zyx)  # each voxel tells where it came from
    marked[tuple(candidates[0].astype(int))], marked[tuple(candidates[1].astype(int))] = 1, 2
    scan = dataclasses.replace(scan, hu_zyx=marked)
    settings = dataclasses.replace(SETTINGS, candidate_share=0.6, scale_range=(1.0, 1.0))
    held = [
        set(draw_unlabelled(scan, np.random.default_rng(seed), settings, candidates_zyx=candidates)["window_hu"].flat)
        for seed in range(60)
    ]
    for number in (1, 2):
        assert 0.2 < np.mean([number in values for values in held]) < 0.9
    always = dataclasses.replace(settings, candidate_share=1.0)
    for seed in range(20):
        patch = draw_unlabelled(scan, np.random.default_rng(seed), always, candidates_zyx=candidates[:1])
        assert 1 in patch["window_hu"]
        assert not patch["valid"].any()


def test_a_detector_s_boxes_stand_for_labels_and_doubtful_ones_are_told_apart():
    place = np.array([30.0, 36.0, 41.0])
    scan = bright_nodules((*place, 9.0, 9.0, 9.0))
    settings = dataclasses.replace(SETTINGS, candidate_share=1.0, jitter=0, scale_range=(1.0, 1.0))
    found, doubtful = ([[*(place + shift), 5.0, 5.0, 5.0]] for shift in (2, -2))
    boxes = PseudoBoxes(np.array(found), np.array(doubtful))
    plain, patch = (
        draw_unlabelled(scan, np.random.default_rng(2), settings, candidates_zyx=place[None], pseudo_boxes=each)
        for each in (None, boxes)
    )
    np.testing.assert_array_equal(plain["window_hu"], patch["window_hu"])
    assert "doubtful" not in plain
    assert (patch["valid"].sum(), patch["doubtful"].sum()) == (1, 1)
    centres = patch["boxes_zyxdhw"][:, :3] - 15.5
    (of_found,), (of_doubtful,) = centres[patch["valid"]], centres[patch["doubtful"]]
    np.testing.assert_allclose(of_found, -of_doubtful, atol=1.01)
    np.testing.assert_allclose(np.abs(of_found), 2, atol=1.01)


def test_without_candidates_patches_are_drawn_as_ever():
    scan = bright_nodules((30.0, 36.0, 41.0, 9.0, 9.0, 9.0))
    settings = dataclasses.replace(SETTINGS, candidate_share=1.0)
    plain = draw_unlabelled(scan, np.random.default_rng(0), SETTINGS)
    for none in (None, np.zeros((0, 3))):
        patch = draw_unlabelled(scan, np.random.default_rng(0), settings, candidates_zyx=none)
        np.testing.assert_array_equal(patch["window_hu"], plain["window_hu"])


def test_hidden_boxes_are_kept_where_pseudo_labels_are_to_be_judged():
    scan = bright_nodules((30.0, 36.0, 41.0, 59.0, 59.0, 59.0))
    kept, hidden = (
        draw_unlabelled(scan, np.random.default_rng(0), SETTINGS, keep_boxes=keep) for keep in (True, False)
    )
    assert kept["valid"].sum() == 1
    np.testing.assert_array_equal(kept["window_hu"], hidden["window_hu"])


def test_a_window_that_leaves_the_scan_is_filled():
    volume = np.arange(27, dtype=np.int16).reshape(3, 3, 3) + 1
    window = cut_window(volume, np.array([-1, 1, 2]), 3)
    expected = np.full((3, 3, 3), OUTSIDE_HU)
    expected[1:, :2, :1] = volume[:2, 1:, 2:]
    np.testing.assert_array_equal(window, expected)
    np.testing.assert_array_equal(cut_window(volume, np.array([50, 0, 0]), 3), OUTSIDE_HU)


def test_normalisation_by_hand():
    hu = jnp.array([-3024, -1200, -300, 0, 600, 3000], jnp.int16)
    np.testing.assert_allclose(normalise_hu(hu), [-1, -1, 0, 1 / 3, 1, 1], atol=1e-6)


def test_a_window_of_hu_by_hand():
    hu = jnp.array([-1200, -160, -60, 40, 240, 600], jnp.int16)
    np.testing.assert_allclose(normalise_hu(hu, (-160, 240)), [-1, -1, -0.5, 0, 1, 1], atol=1e-6)
    windows = jnp.broadcast_to(hu[:, None, None, None], (6, 4, 4, 4))
    scaled = scale_windows(windows, jnp.ones(6), 2, window_hu=(-160, 240))
    np.testing.assert_allclose(scaled[:, 0, 0, 0, 0], [-1, -1, -0.5, 0, 1, 1], atol=1e-6)


@pytest.mark.parametrize("scale", [0.75, 1.0, 1.2])
def test_scaling_agrees_with_scipy(scale):
    window = np.random.default_rng(3).integers(-1100, 500, (2, 16, 16, 16)).astype(np.int16)
    scaled = scale_windows(jnp.asarray(window), jnp.full(2, scale), 12)[..., 0]
    places = (np.indices((12, 12, 12)) - 5.5) / scale + 7.5
    for before, after in zip(np.asarray(normalise_hu(jnp.asarray(window))), scaled, strict=True):
        np.testing.assert_allclose(after, map_coordinates(before, places, order=1), atol=1e-5)
