"""The score beside an oracle in plain loops, the real submission, laws, and the bootstrap recomputed slowly."""

import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.luna16_csv import Findings, read_annotations, read_excluded, read_series_uids
from medssl_jax.imaging.submission import Marks, read_submission
from medssl_jax.metrics.bootstrap import draw_counts
from medssl_jax.metrics.nodules import froc
from medssl_jax.metrics.nodules.froc import (
    FPS_PER_SCAN,
    score,
    sensitivities,
)


def oracle(marks, annotations, excluded, series_uids, rates=FPS_PER_SCAN):
    """The rules one by one, in loops and exact fractions; takes and gives plain Python values.

    Rows are (uid, (x, y, z), number); a series may be listed several times, as a bootstrap does.
    """
    found, false = [], []
    counts = dict.fromkeys(("candidates", "nodules", "double", "excluded"), 0)
    for uid in series_uids:
        own = [mark for mark in marks if mark[0] == uid]
        if len(own) > 100:
            limit = sorted((mark[2] for mark in own), reverse=True)[100]
            own = [mark for mark in own if mark[2] > limit]
        counts["candidates"] += len(own)
        left = list(range(len(own)))
        for finding in annotations:
            if finding[0] != uid:
                continue
            counts["nodules"] += 1
            hits = [place for place, mark in enumerate(own) if covers(finding, mark)]
            if hits:
                found.append(max(own[place][2] for place in hits))
                counts["double"] += len(hits) - 1
                left = [place for place in left if place not in hits]
        for finding in excluded:
            if finding[0] == uid:
                on_it = [place for place in left if covers(finding, own[place])]
                counts["excluded"] += len(on_it)
                left = [place for place in left if place not in on_it]
        false += [own[place][2] for place in left]
    counts["true"], counts["false"] = len(found), len(false)
    points = [(0, 0)]
    for threshold in sorted({*found, *false}, reverse=True):
        points.append((sum(p >= threshold for p in false), sum(p >= threshold for p in found)))
    return counts, [float(value_at(Fraction(x) * len(series_uids), points) / counts["nodules"]) for x in rates]


def covers(finding, mark):
    diameter = 10 if finding[2] == -1 else finding[2]
    return sum((a - b) ** 2 for a, b in zip(finding[1], mark[1], strict=True)) < (diameter / 2) ** 2


def value_at(x, points):
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x < x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return Fraction(points[-1][1])


def rows_of(table, numbers):
    return [
        (uid, tuple(centre), number)
        for uid, centre, number in zip(table.series_uid, table.centre_xyz_mm.tolist(), numbers.tolist(), strict=True)
    ]


def oracle_of(marks, annotations, excluded, series_uids, rates=FPS_PER_SCAN):
    return oracle(
        rows_of(marks, marks.score),
        rows_of(annotations, annotations.diameter_mm),
        rows_of(excluded, excluded.diameter_mm),
        series_uids,
        rates,
    )


def random_case(seed):
    """Whole millimetres in a small box, so that surfaces are touched, nodules overlap and probabilities tie."""
    rng = np.random.default_rng(seed)
    series_uids = tuple(f"scan{place}" for place in range(rng.integers(1, 9)))

    def table(most, least=0):
        count = rng.integers(least, most + 1)
        return tuple(rng.choice(series_uids, count).tolist()), rng.integers(-14, 15, (count, 3)).astype(float), count

    uid, centre, count = table(12, least=1)
    annotations = Findings(uid, centre, rng.choice([4.0, 6, 7.5, 10, 24], count))
    uid, centre, count = table(20)
    excluded = Findings(uid, centre, rng.choice([-1.0, 6, 12], count))
    uid, centre, count = table(rng.choice([8, 60, 400]))
    marks = Marks(uid, centre, rng.integers(0, rng.choice([3, 30, 3000]), count) / 64)
    return marks, annotations, excluded, series_uids


def scored(seed=0, **options):
    return score(*random_case(seed), **{"bootstraps": 5, **options})


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_rules_taken_one_by_one(seed):
    case = random_case(seed)
    counts, expected = oracle_of(*case)
    result = score(*case, bootstraps=1)
    assert counts == {
        "candidates": result.candidates_after_cap,
        "nodules": result.nodules,
        "double": result.ignored_double_detections,
        "excluded": result.ignored_on_excluded,
        "true": result.true_positives,
        "false": result.false_positives,
    }
    assert result.false_negatives == result.nodules - result.true_positives
    np.testing.assert_allclose(result.sensitivity, expected, rtol=1e-12)
    assert result.cpm == pytest.approx(sum(expected) / 7, rel=1e-12)


def test_the_real_submission_gets_the_official_score(shared_data):
    folder = shared_data / "submissions" / "deepseed_fold9"
    result = score(
        read_submission(folder / "submission.csv"),
        read_annotations(shared_data / "luna16" / "annotations.csv"),
        read_excluded(shared_data / "luna16" / "annotations_excluded.csv.gz"),
        read_series_uids(folder / "seriesuids.csv"),
    )
    expected = json.loads((folder / "expected.json").read_text())
    np.testing.assert_allclose(result.sensitivity, expected.pop("sensitivity"), atol=5e-5, rtol=0)
    assert result.cpm == pytest.approx(expected.pop("cpm"), abs=5e-6)
    assert list(result.fps_per_scan) == expected.pop("fps_per_scan")
    assert {name: getattr(result, name) for name in expected} == expected
    low, high = result.cpm_interval_95
    assert low < result.cpm < high


def test_the_real_submission_of_wrong_ids_is_refused(shared_data):
    folder = shared_data / "submissions" / "deepseed_fold9"
    with pytest.raises(InputError, match="found series '222', expected one of the 88 listed series"):
        score(
            read_submission(folder / "submission_with_wrong_ids.csv"),
            read_annotations(shared_data / "luna16" / "annotations.csv"),
            None,
            read_series_uids(folder / "seriesuids.csv"),
        )


def test_a_missed_nodule_stays_in_the_denominator(marks, findings):
    result = score(
        marks(("a", 0, 0, 0, 0.5)), findings(("a", 0, 0, 0, 6), ("b", 0, 0, 0, 6)), None, ["a", "b"], bootstraps=1
    )
    assert result.sensitivity == (0.5,) * 7
    assert (result.true_positives, result.false_negatives) == (1, 1)


@pytest.mark.parametrize(("scans", "expected"), [(8, [1, 1, 1]), (4, [0, 1, 1]), (2, [0, 0, 1])])
def test_false_positives_are_shared_by_all_listed_scans(marks, findings, scans, expected):
    two = marks(("scan0", 40, 0, 0, 0.9), ("scan0", 0, 0, 0, 0.8))  # the false one first
    listed = [f"scan{place}" for place in range(scans)]
    result = score(two, findings(("scan0", 0, 0, 0, 6)), None, listed, bootstraps=1)
    assert list(result.sensitivity[:3]) == expected


def test_equal_probabilities_cross_the_threshold_together(marks, findings):
    tied = marks(("a", 40, 0, 0, 0.9), ("a", 0, 0, 0, 0.9))
    result = score(tied, findings(("a", 0, 0, 0, 6)), None, ["a", "b", "c", "d"], bootstraps=1)
    # One straight line from (0, 0) to (1 false positive in 4 scans, 1).
    assert result.sensitivity == (0.5, 1, 1, 1, 1, 1, 1)


def test_no_marks_and_no_false_positives(marks, findings):
    nodule = findings(("a", 0, 0, 0, 6))
    assert score(marks(), nodule, None, ["a"], bootstraps=3).cpm == 0
    perfect = score(marks(("a", 0, 0, 0, 0.1)), nodule, None, ["a"], bootstraps=3)
    assert (perfect.cpm, perfect.cpm_interval_95) == (1, (1, 1))


def test_no_nodule_is_refused_and_never_a_nan(marks, findings):
    with pytest.raises(InputError, match="found no nodule"):
        score(marks(("a", 0, 0, 0, 0.1)), findings(), None, ["a"])


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_marks_findings_and_scans_does_not_matter(seed):
    marks, annotations, excluded, series_uids = random_case(seed)
    rng = np.random.default_rng(seed)

    def shuffled(table):
        order = rng.permutation(len(table))
        columns = {
            name: None
            if value is None
            else tuple(value[row] for row in order)
            if name == "series_uid"
            else value[order]
            for name, value in vars(table).items()
        }
        return type(table)(**columns)

    moved = score(
        shuffled(marks), shuffled(annotations), shuffled(excluded), list(rng.permutation(series_uids)), bootstraps=1
    )
    assert moved.sensitivity == score(marks, annotations, excluded, series_uids, bootstraps=1).sensitivity


@pytest.mark.parametrize("transform", [np.exp, lambda p: -1e6 + p / 1e3, lambda p: p**3])
def test_only_the_order_of_probabilities_counts(transform):
    marks, *rest = random_case(2)
    moved = Marks(marks.series_uid, marks.centre_xyz_mm, transform(marks.score))
    assert score(moved, *rest, bootstraps=20).cpm_interval_95 == score(marks, *rest, bootstraps=20).cpm_interval_95


def test_the_curve_passes_through_the_seven_points_and_never_falls():
    result = scored(3)
    at = np.searchsorted(result.curve.fps_per_scan, FPS_PER_SCAN)
    np.testing.assert_array_equal(result.curve.fps_per_scan[at], FPS_PER_SCAN)
    assert len(result.curve.fps_per_scan) == 6 * 24 + 1
    np.testing.assert_array_equal(result.curve.sensitivity[at], result.sensitivity)
    np.testing.assert_array_equal(result.curve.low[at], [low for low, _ in result.sensitivity_interval_95])
    for line in vars(result.curve).values():
        assert (np.diff(line) >= 0).all()
    assert (result.curve.low <= result.curve.high).all()


@pytest.mark.parametrize("rates", [(1 / 64, 1 / 8, 1.0), (0.3, 0.31, 5.0), (0.25,)])
def test_other_rates_have_the_oracle_s_sensitivities(rates):
    case = random_case(3)
    result = score(*case, fps_per_scan=rates, bootstraps=20)
    by_oracle = oracle_of(*case, rates=rates)[1]
    assert result.fps_per_scan == rates
    np.testing.assert_allclose(result.sensitivity, by_oracle, rtol=1e-12)
    assert result.cpm == pytest.approx(np.mean(by_oracle))
    assert json.loads(result.as_json())["fps_per_scan"] == list(rates)
    assert (result.curve.fps_per_scan[0], result.curve.fps_per_scan[-1]) == (rates[0], rates[-1])
    assert (np.diff(result.curve.fps_per_scan) > 0).all()


@pytest.mark.parametrize("seed", [0, 4, 9, 13])
def test_resamples_equal_scoring_the_drawn_scans_one_by_one(seed):
    marks, annotations, excluded, series_uids = random_case(seed)
    result = score(marks, annotations, excluded, series_uids, bootstraps=25, seed=seed)
    counts = draw_counts(result.outcome.nodules_per_scan, 25, seed)
    slow = []
    for drawn in counts:
        listed = [uid for uid, times in zip(series_uids, drawn, strict=True) for _ in range(times)]
        slow.append(oracle_of(marks, annotations, excluded, listed)[1])
    np.testing.assert_allclose(sensitivities(result.outcome, counts, np.array(FPS_PER_SCAN)), slow, rtol=1e-12)
    cpms = sorted(np.mean(slow, axis=1))
    np.testing.assert_allclose(result.cpm_interval_95, [cpms[0], cpms[24]], rtol=1e-12)
    by_rate = np.sort(slow, axis=0)
    np.testing.assert_allclose(result.sensitivity_interval_95, np.stack([by_rate[0], by_rate[24]], axis=1), rtol=1e-12)


def test_scans_are_drawn_a_thousand_times_as_by_luna16(monkeypatch):
    drawn = []

    def draw(nodules_per_scan, bootstraps, seed):
        drawn.append((bootstraps, seed))
        return draw_counts(nodules_per_scan, 2, seed)

    monkeypatch.setattr(froc, "draw_counts", draw)
    result = score(*random_case(5))
    assert result.scans
    assert drawn == [(1000, 0)]


def test_json_holds_the_official_keys_and_the_intervals(shared_data):
    result = scored(6)
    written = json.loads(result.as_json())
    expected = json.loads((shared_data / "submissions" / "deepseed_fold9" / "expected.json").read_text())
    assert list(written) == [*expected, "cpm_interval_95", "sensitivity_interval_95"]
    assert written["sensitivity"] == list(result.sensitivity)
    assert written["cpm_interval_95"] == list(result.cpm_interval_95)
    assert np.shape(written["sensitivity_interval_95"]) == (7, 2)
