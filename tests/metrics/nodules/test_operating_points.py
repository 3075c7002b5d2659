"""Thresholds against every threshold tried, and calibrations that give back what scores were drawn from."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit

from medssl_jax.metrics.bootstrap import Interval
from medssl_jax.metrics.nodules.matching import Outcome, match
from medssl_jax.metrics.nodules.operating_points import (
    OperatingPoint,
    OperatingPoints,
    calibrate,
    expected_calibration_error,
    fit_logistic,
    measured_on,
    operating_points,
)
from medssl_jax.report.json_report import write_json


def outcome_of(scores, is_hit, scan, scans, nodules_per_scan):
    falling = np.argsort(-np.asarray(scores, float), kind="stable")
    entries = (np.asarray(each)[falling] for each in (scan, is_hit, np.asarray(scores, float)))
    return Outcome(tuple(map(str, range(scans))), np.asarray(nodules_per_scan), *entries, len(scores), 0, 0)


def test_a_case_by_hand(marks, findings):
    """Two scans, three nodules; false marks at .9, .6 and twice .3, hits at .8, .6, .2."""
    nodules = findings(("a", 0, 0, 0, 6), ("a", 50, 0, 0, 6), ("b", 0, 0, 0, 6))
    found = marks(
        *(("a", 99, 0, 0, 0.9), ("a", 0, 0, 0, 0.8), ("b", 0, 0, 0, 0.6), ("b", 99, 0, 0, 0.6)),
        *(("a", 99, 9, 0, 0.3), ("b", 99, 9, 0, 0.3), ("a", 50, 0, 0, 0.2)),
    )
    points = operating_points(match(found, nodules, findings(), ["a", "b"]), fps_per_scan=(0.25, 0.5, 1.0, 1.5, 8.0))
    told = [(each.fps_per_scan, each.threshold, each.measured_fps_per_scan) for each in points]
    # A rate of .25 is half a mark, and the highest score is already one; marks of one score go together.
    assert told == [(0.5, 0.8, 0.5), (1, 0.6, 1.0), (1.5, 0.6, 1.0), (8, 0.2, 2.0)]
    np.testing.assert_allclose([each.sensitivity for each in points], [1 / 3, 2 / 3, 2 / 3, 1])


@pytest.mark.parametrize("seed", range(8))
def test_no_lower_threshold_keeps_to_the_rate(seed):
    rng = np.random.default_rng(seed)
    scans, count = 5, 60
    scores = rng.integers(1, 40, count) / 40  # with ties
    is_hit = rng.uniform(size=count) < scores
    scan = rng.integers(0, scans, count)
    nodules = np.bincount(scan[is_hit], minlength=scans) + 1
    for point in operating_points(outcome_of(scores, is_hit, scan, scans, nodules)):
        false = {each: (~is_hit & (scores >= each)).sum() / scans for each in np.unique(scores)}
        assert point.threshold == min(each for each, rate in false.items() if rate <= point.fps_per_scan)
        assert point.measured_fps_per_scan == false[point.threshold]
        assert point.sensitivity == (is_hit & (scores >= point.threshold)).sum() / nodules.sum()


def test_a_detector_without_marks_has_no_points():
    assert operating_points(outcome_of([], np.zeros(0, bool), np.zeros(0, int), 2, [1, 1])) == ()
    assert calibrate(outcome_of([], np.zeros(0, bool), np.zeros(0, int), 2, [1, 1])) is None


def points_of(outcome, fps_per_scan):
    chosen = operating_points(outcome, fps_per_scan=fps_per_scan)
    nodules = int(outcome.nodules_per_scan.sum())
    return OperatingPoints("made", 5, len(outcome.series_uids), nodules, chosen, calibrate(outcome))


def test_points_on_other_scans_keep_their_thresholds_and_count_anew():
    chosen_on = outcome_of([0.9, 0.8, 0.6, 0.5], [True, False, True, False], [0, 1, 1, 0], 2, [1, 1])
    points = points_of(chosen_on, (0.5, 1.0))
    other = outcome_of([0.95, 0.7, 0.6, 0.55, 0.2], [False, True, False, False, True], [0, 1, 2, 2, 3], 4, [1, 1, 0, 2])
    there = measured_on(points, other)
    assert [each.threshold for each in there.points] == [each.threshold for each in points.points] == [0.6, 0.5]
    assert [(each.sensitivity, each.measured_fps_per_scan) for each in there.points] == [(1 / 4, 2 / 4), (1 / 4, 3 / 4)]
    assert (there.scans, there.nodules, there.data, there.step) == (4, 4, "made", 5)
    curve, is_hit = points.calibration, other.entry_is_hit
    assert (there.calibration.slope, there.calibration.intercept) == (curve.slope, curve.intercept)
    assert there.calibration.error_before == expected_calibration_error(other.entry_score, is_hit)
    assert there.calibration.error_after == expected_calibration_error(curve(other.entry_score), is_hit)
    again = measured_on(points, chosen_on)
    assert again.points == points.points


def many_scans(false_a_scan, scans=200):
    """Every scan has two nodules, of which the first is found, and `false_a_scan[scan]` false marks."""
    rng = np.random.default_rng(1)
    scan = np.concatenate([np.arange(scans), np.repeat(np.arange(scans), false_a_scan)])
    is_hit = np.arange(len(scan)) < scans
    return outcome_of(rng.uniform(0.1, 0.9, len(scan)), is_hit, scan, scans, np.full(scans, 2))


def test_an_interval_is_as_wide_as_the_scans_differ():
    """A mean over scans has an interval of 1.96 standard errors to either side, and none where scans are alike."""
    false = np.random.default_rng(0).poisson(1.2, 200)
    (point,) = operating_points(many_scans(false), fps_per_scan=(8.0,))
    error = false.std() / np.sqrt(200)
    expected = false.mean() - 1.96 * error, false.mean() + 1.96 * error
    np.testing.assert_allclose(point.measured_fps_interval_95, expected, atol=0.2 * error)
    assert point.sensitivity_interval_95 == (0.5, 0.5)
    (alike,) = operating_points(many_scans(np.full(200, 3)), fps_per_scan=(8.0,))
    assert alike.measured_fps_interval_95 == (3, 3)
    assert point.told_fps() == f"{false.mean():.2g} ({expected[0]:.2g} to {expected[1]:.2g})"


@pytest.mark.parametrize(
    ("false", "told"), [(0.984, "0.98"), (9.96, "10"), (37.6, "38"), (99.6, "100"), (123.4, "123"), (1234.5, "1234")]
)
def test_false_positives_are_told_without_powers_of_ten(false, told):
    interval = Interval(false, false)
    point = OperatingPoint(8.0, 0.1, 0.5, false, measured_fps_interval_95=interval)
    assert point.told_fps() == f"{told} ({told} to {told})"


def test_an_interval_is_of_the_marks_at_its_threshold():
    """Of scans that differ in what lies below the threshold alone, and where nodules are found in some."""
    low = [(0.1, False, scan) for scan in (0, 0, 0, 0, 1)]
    high = [(0.9, True, 0), (0.8, False, 0), (0.8, False, 1)]
    score, is_hit, scan = zip(*high, *low, strict=True)
    (point,) = operating_points(outcome_of(score, is_hit, scan, 2, [1, 1]), fps_per_scan=(1.0,))
    assert point.measured_fps_interval_95 == (1, 1)
    assert point.sensitivity_interval_95 == (0, 1)


def test_points_are_read_again_from_a_run_and_from_weights(tmp_path):
    """Of which the one writes reports, in which what has names is an object, and the other plain JSON."""
    points = points_of(many_scans(np.full(200, 3)), (8.0,))
    write_json(tmp_path / "operating_points.json", points.as_json())
    for text in ((tmp_path / "operating_points.json").read_text(), json.dumps(points.as_json())):
        again = OperatingPoints.from_json(json.loads(text))
        assert again == points
        assert again.points[0].told_fps() == "3 (3 to 3)"
    with pytest.raises(TypeError):
        OperatingPoints.from_json({**points.as_json(), "points": [{"sensitivity_interval_95": {"from": 0, "to": 1}}]})


def test_points_without_intervals_are_read_and_told():
    """As runs wrote them before there were any."""
    points = points_of(many_scans(np.full(200, 3)), (8.0,))
    content = json.loads(json.dumps(points.as_json()))
    assert OperatingPoints.from_json(content) == points
    for each in content["points"]:
        del each["sensitivity_interval_95"], each["measured_fps_interval_95"]
    older = OperatingPoints.from_json(content)
    told = [each.told(each.points[0].threshold) for each in (points, older)]
    assert told[0].endswith(
        "3 (3 to 3) false positives a scan on 200 validation scans of made (400 nodules), in "
        "brackets 95 % intervals over scans."
    )
    assert told[1].endswith("3 false positives a scan on 200 validation scans of made (400 nodules).")


def test_points_on_scans_without_marks_find_nothing():
    points = points_of(outcome_of([0.9, 0.8], [True, False], [0, 1], 2, [1, 0]), (0.5,))
    there = measured_on(points, outcome_of([], np.zeros(0, bool), np.zeros(0, int), 3, [1, 0, 1]))
    assert [(each.sensitivity, each.measured_fps_per_scan) for each in there.points] == [(0, 0)]
    assert there.calibration is None


def drawn(slope, intercept, count=20_000):
    rng = np.random.default_rng(0)
    score = rng.uniform(0.02, 0.98, count)
    is_hit = rng.uniform(size=count) < expit(slope * logit(score) + intercept)
    return outcome_of(score, is_hit, rng.integers(0, 20, count), 20, np.full(20, count))


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.0), (2.0, 1.5)])
def test_the_law_that_marks_were_drawn_by_is_found_again(slope, intercept):
    outcome = drawn(slope, intercept)
    found = calibrate(outcome)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.08)
    assert found.error_after < 0.02
    assert found.error_before == expected_calibration_error(outcome.entry_score, outcome.entry_is_hit)
    assert (found.error_before < 0.02) == (slope == 1)
    score = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(found(score), expit(slope * logit(score) + intercept), atol=0.03)


def test_a_higher_score_is_never_less_likely():
    slope, intercept = fit_logistic(np.array([0.1, 0.2, 0.8, 0.9]), np.array([True, True, False, False]))
    assert slope == 0
    assert expit(intercept) == pytest.approx(0.5, abs=1e-4)


def test_the_error_is_the_distance_of_bins_weighted_by_marks():
    probability, is_hit = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])
    # |.05 - .5| for two marks, |.975 - 1| for two.
    assert expected_calibration_error(probability, is_hit) == pytest.approx((0.45 + 0.025) / 2)


def test_the_error_after_is_of_scans_that_were_left_out():
    """One scan's marks are all hits, the other's all false, at the same score: each half says the other is wrong."""
    outcome = outcome_of([0.5] * 40, [True] * 20 + [False] * 20, [0] * 20 + [1] * 20, 2, [20, 20])
    found = calibrate(outcome)
    assert found(np.array([0.5]))[0] == pytest.approx(0.5, abs=1e-3)
    assert found.error_after == pytest.approx(0.95, abs=0.01)


def test_each_scan_is_judged_by_all_the_others():
    """Two scans of hits and one of false marks: without a first the fit says 1/2, without the false ones 41/42."""
    outcome = outcome_of([0.5] * 60, [True] * 40 + [False] * 20, [0] * 20 + [1] * 20 + [2] * 20, 3, [20, 20, 20])
    assert calibrate(outcome).error_after == pytest.approx(40 / 60 * 0.5 + 20 / 60 * 41 / 42, abs=0.005)


def test_what_is_written_is_read_again():
    points = operating_points(outcome_of([0.5, 0.4], [True, False], [0, 1], 2, [1, 1]))
    whole = OperatingPoints("LUNA16", 7, 2, 2, points, calibrate(drawn(1.0, 0.0, 200)))
    assert OperatingPoints.from_json(json.loads(json.dumps(whole.as_json()))) == whole
