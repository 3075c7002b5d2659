"""Windows cover a scan once; a detector that finds painted cubes finds each of them once, where it is."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from medssl_jax.core.errors import InputError
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.prediction import Prediction
from medssl_jax.inference import sliding
from medssl_jax.inference.sliding import SlidingDetector, SlidingSettings, join_over_scan, plan_windows

SIDE = 16
GRID = AnchorGrid(SIDE, (AnchorLevel(4, (4.0,)),))
SETTINGS = SlidingSettings(
    overlap=8,
    window_batch=3,
    candidates=32,
    window_detections=8,
    scan_candidates=64,
    score_threshold=0.1,
    nms_iou=0.1,
    marks=100,
)


def bright_places(params, patches):
    """Each anchor's logit is the brightness of its 4 x 4 x 4 place: +4 for 600 HU, -4 for -1200 HU."""
    means = patches[..., 0].reshape(-1, 4, 4, 4, 4, 4, 4).mean((2, 4, 6))
    logits = GRID.flatten([4 * params * means[..., None, None]])[..., 0]
    return Prediction(logits, jnp.zeros((*logits.shape, 4)))


def scan_with(*places, shape=(24, 40, 32)):
    hu = np.full(shape, -1200, np.int16)
    for z, y, x in places:
        hu[z : z + 4, y : y + 4, x : x + 4] = 600
    return hu, np.ones(shape, np.uint8)


@functools.cache
def detector(**changes):
    return SlidingDetector(bright_places, GRID, dataclasses.replace(SETTINGS, **changes))


def detect(hu, lungs, **changes):
    return detector(**changes)(jnp.array(1.0), hu, lungs)


def test_the_window_of_hu_is_what_brightness_is_of():
    hu, region = scan_with((8, 8, 8))
    hu[8:12, 20:24, 8:12] = 50
    found = SlidingDetector(bright_places, GRID, SETTINGS, window_hu=(0, 100))(jnp.array(1.0), hu, region)
    # What is 600 HU is at the upper end, what is 50 in the middle.
    np.testing.assert_allclose(found.score, [expit(4), 0.5], atol=1e-6)


@pytest.mark.parametrize("shape", [(10, 16, 17), (40, 50, 23), (16, 16, 16), (31, 33, 64)])
@pytest.mark.parametrize("overlap", [0, 4, 8])
def test_every_place_is_answered_for_by_one_window_that_sees_it(shape, overlap):
    windows = plan_windows(shape, SIDE, overlap)
    places = np.random.default_rng(0).uniform(-0.5, np.array(shape) - 0.5, (200, 3))
    answers = np.zeros(len(places), int)
    for window in windows:
        inside = places - window.start_zyx
        in_core = ((inside >= window.core_low_zyx) & (inside < window.core_high_zyx)).all(1)
        assert ((inside[in_core] >= -0.5) & (inside[in_core] <= SIDE - 0.5)).all()
        answers += in_core
    assert (answers == 1).all()


def test_neighbours_overlap_by_at_least_what_was_asked():
    starts = sorted({window.start_zyx[0] for window in plan_windows((100, 16, 16), SIDE, 6)})
    assert (np.diff(starts) <= SIDE - 6).all()


def test_every_cube_is_found_once_where_it_is():
    # Windows of this shape start at multiples of 8, so that these cubes fill places of the windows that see them.
    places = [(0, 0, 0), (12, 20, 8), (20, 36, 28), (4, 12, 24)]
    found = detect(*scan_with(*places))
    strong = found.score > 0.9
    expected = np.array(sorted(places)) + 1.5
    centres = found.boxes_zyxdhw_voxel[strong, :3]
    np.testing.assert_allclose(centres[np.lexsort(centres.T[::-1])], expected, atol=1e-4)
    np.testing.assert_allclose(found.score[strong], expit(4), rtol=1e-5)
    assert (np.diff(found.score) <= 0).all()


def test_marks_outside_the_lungs_are_dropped():
    hu, lungs = scan_with((12, 20, 8), (4, 12, 24))
    lungs[:, :, 16:] = 0
    found = detect(hu, lungs)
    np.testing.assert_allclose(found.boxes_zyxdhw_voxel[:, :3], [[13.5, 21.5, 9.5]], atol=1e-4)


def test_marks_outside_the_lungs_are_dropped_though_their_window_has_lung():
    hu, lungs = scan_with((4, 4, 4), (4, 4, 8))
    lungs[:, :, 8:] = 0
    found = detect(hu, lungs)
    strong = found.score > 0.9
    np.testing.assert_allclose(found.boxes_zyxdhw_voxel[strong, :3], [[5.5, 5.5, 5.5]], atol=1e-4)


def test_marks_beyond_the_scan_are_dropped():
    boxes = np.array([[0, 0, 0, 4, 4, 4], [-1, 0, 0, 4, 4, 4], [0, 1, 0, 4, 4, 4], [0, 0, 9, 4, 4, 4]], np.float32)
    found = join_over_scan(boxes, np.full(4, 0.5, np.float32), np.ones((1, 1, 1), np.uint8), SETTINGS)
    np.testing.assert_array_equal(found.boxes_zyxdhw_voxel, boxes[:1])


def test_a_window_without_lung_is_not_looked_at():
    """Twelve windows cover the scan, in batches of three; two of them answer for the corner that is lung."""
    hu, lungs = scan_with((0, 0, 0))
    lungs[:] = 0
    lungs[:4, :14, :4] = 1
    batches = []
    detector()(jnp.array(1.0), hu, lungs, progress=lambda each, **_: batches.extend(each) or each)
    assert [len(batch) for batch in batches] == [2]


def test_the_next_batch_is_begun_before_an_answer_is_waited_for(monkeypatch):
    def told(happens, function):
        return lambda *arguments: happened.append(happens) or function(*arguments)

    happened = []
    looking = SlidingDetector(bright_places, GRID, SETTINGS)
    monkeypatch.setattr(looking, "_detect", told("begun", looking._detect))
    monkeypatch.setattr(sliding, "_in_scan", told("waited for", sliding._in_scan))
    looking(jnp.array(1.0), *scan_with(shape=(24, 24, 24)))  # eight windows, in batches of three
    assert happened == ["begun", "begun", "waited for", "begun", "waited for", "waited for"]


def test_a_window_answers_for_its_core_alone():
    """Each window sees the same at its first place, whatever is there: the core of the first one has that place."""

    def first_place(params, patches):
        logits = jnp.full((len(patches), len(GRID)), -9.0).at[:, 0].set(params)
        return Prediction(logits, jnp.zeros((*logits.shape, 4)))

    hu, lungs = scan_with(shape=(24, 16, 32))
    found = SlidingDetector(first_place, GRID, SETTINGS)(jnp.array(2.0), hu, lungs)
    np.testing.assert_allclose(found.boxes_zyxdhw_voxel, [[1.5, 1.5, 1.5, 4, 4, 4]], atol=1e-4)


def test_a_mark_half_way_between_two_windows_is_found_once():
    """Windows begin at 0 and 12 here, so that the place from 12 to 15 is seen by both and lies where cores meet."""
    found = detect(*scan_with((12, 12, 12), shape=(28, 28, 28)), overlap=4, nms_iou=1.0, score_threshold=0.9)
    np.testing.assert_allclose(found.boxes_zyxdhw_voxel[:, :3], [[13.5, 13.5, 13.5]], atol=1e-4)


def test_a_scan_without_lungs_has_no_marks():
    hu, lungs = scan_with((12, 20, 8))
    assert len(detect(hu, 0 * lungs).score) == 0


def test_a_scan_smaller_than_a_window():
    # It lies 2 voxels inside the window, so this cube fills one place of the window.
    found = detect(*scan_with((2, 2, 2), shape=(12, 12, 12)))
    np.testing.assert_allclose(found.boxes_zyxdhw_voxel[0, :3], 3.5, atol=1e-4)


def test_the_number_of_marks_is_limited():
    places = [(z, y, x) for z in (0, 8, 16) for y in (0, 8, 16, 24, 32) for x in (0, 8, 16, 24)]
    hu, lungs = scan_with(*places)
    assert len(detect(hu, lungs, marks=7, window_detections=16).score) == 7


@pytest.mark.parametrize(
    ("overlap", "expected"), [(-1, "0 or more, at most 512"), (16, "0 to less than the patch side 16")]
)
def test_an_overlap_below_0_or_as_large_as_the_window_is_refused(overlap, expected):
    with pytest.raises(InputError, match=rf"inference.overlap is {overlap}, expected {expected}"):
        detector(overlap=overlap)
    detector(overlap=max(0, overlap - 1))
