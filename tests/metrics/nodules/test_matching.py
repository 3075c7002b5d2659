"""LUNA16's rules, each as the smallest case that a wrong reading would fail."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.matching import match


def summary(outcome):
    hits = int(outcome.entry_is_hit.sum())
    return {
        "hits": hits,
        "false": len(outcome.entry_is_hit) - hits,
        "excluded": outcome.ignored_on_excluded,
        "double": outcome.ignored_double_detections,
        "candidates": outcome.candidates_after_cap,
    }


def expect(outcome, **counts):
    assert summary(outcome) == {"hits": 0, "false": 0, "excluded": 0, "double": 0, "candidates": 0, **counts}


def test_a_mark_on_the_surface_is_outside(marks, findings):
    nodule = findings(("a", 0, 0, 0, 6))
    expect(match(marks(("a", 3, 0, 0, 1)), nodule, findings(), ["a"]), false=1, candidates=1)
    expect(match(marks(("a", 2.999999, 0, 0, 1)), nodule, findings(), ["a"]), hits=1, candidates=1)


def test_distance_is_taken_in_all_three_directions(marks, findings):
    nodule = findings(("a", 10, 20, 30, 6))
    expect(match(marks(("a", 12, 22, 31, 1)), nodule, findings(), ["a"]), false=1, candidates=1)  # exactly 3 mm
    expect(match(marks(("a", 12, 22, 30.9, 1)), nodule, findings(), ["a"]), hits=1, candidates=1)


def test_diameter_of_minus_one_counts_as_10_mm(marks, findings):
    nodule, finding = findings(("a", 99, 0, 0, 6)), findings(("a", 0, 0, 0, -1))
    expect(match(marks(("a", 4.99, 0, 0, 1)), nodule, finding, ["a"]), excluded=1, candidates=1)
    expect(match(marks(("a", 5, 0, 0, 1)), nodule, finding, ["a"]), false=1, candidates=1)


def test_included_nodules_come_before_excluded_findings(marks, findings):
    both = marks(("a", 0, 0, 0, 0.9))
    expect(match(both, findings(("a", 1, 0, 0, 6)), findings(("a", 0, 0, 0, 6)), ["a"]), hits=1, candidates=1)


def test_further_hits_are_neither_true_nor_false_and_the_most_probable_is_kept(marks, findings):
    outcome = match(
        marks(("a", 0, 0, 0, 0.2), ("a", 1, 0, 0, 0.7), ("a", 2, 0, 0, 0.5)),
        findings(("a", 0, 0, 0, 6)),
        findings(("a", 2, 0, 0, 6)),
        ["a"],
    )
    expect(outcome, hits=1, double=2, candidates=3)
    np.testing.assert_array_equal(outcome.entry_score, [0.7])


def test_marks_on_excluded_findings_vanish_once_each(marks, findings):
    on_two = marks(("a", 0, 0, 0, 0.9), ("a", 1, 0, 0, 0.8))
    finding = findings(("a", 0, 0, 0, 6), ("a", 1, 0, 0, 6))
    expect(match(on_two, findings(("a", 50, 0, 0, 6)), finding, ["a"]), excluded=2, candidates=2)


def test_a_mark_in_two_overlapping_nodules_finds_both(marks, findings):
    outcome = match(marks(("a", 0, 0, 0, 0.9)), findings(("a", -1, 0, 0, 6), ("a", 1, 0, 0, 6)), findings(), ["a"])
    expect(outcome, hits=2, candidates=1)


def test_at_most_100_marks_and_ties_at_the_101st_fall(marks, findings):
    nodule = findings(("a", 999, 0, 0, 6))

    def candidates(probabilities):
        rows = [("a", 0, 0, place, value) for place, value in enumerate(probabilities)]
        return match(marks(*rows), nodule, findings(), ["a"]).candidates_after_cap

    assert candidates(np.arange(100)) == 100
    assert candidates(np.zeros(100)) == 100  # the rule speaks of a 101st mark
    assert candidates(np.arange(101)) == 100
    assert candidates(np.zeros(101)) == 0
    assert candidates([*np.arange(1, 100), *np.zeros(51)]) == 99
    assert candidates([*np.zeros(51), *np.arange(1, 151)]) == 100


def test_the_cap_is_per_scan_and_keeps_the_most_probable(marks, findings):
    rows = [(uid, 0, 0, 10 * place, place) for uid in "ab" for place in range(120)]
    outcome = match(marks(*rows), findings(("a", 0, 0, 190, 6), ("b", 0, 0, 1190, 6)), findings(), ["a", "b"])
    # Mark 19 of a, on its nodule, is the 101st and falls; mark 119 of b is the first.
    expect(outcome, hits=1, false=199, candidates=200)


def test_marks_count_in_their_own_scan_only(marks, findings):
    expect(match(marks(("b", 0, 0, 0, 1)), findings(("a", 0, 0, 0, 6)), findings(), ["a", "b"]), false=1, candidates=1)


def test_findings_of_series_outside_the_list_are_left_out(marks, findings):
    nodules = findings(("a", 0, 0, 0, 6), ("z", 0, 0, 0, 6))
    outcome = match(marks(("a", 0, 0, 0, 1)), nodules, findings(("z", 0, 0, 0, 6)), ["a"])
    expect(outcome, hits=1, candidates=1)
    np.testing.assert_array_equal(outcome.nodules_per_scan, [1])


def test_entries_fall_in_probability(marks, findings):
    outcome = match(
        marks(("a", 50, 0, 0, 0.1), ("b", 0, 0, 0, 0.4), ("a", 0, 0, 0, 0.3), ("b", 70, 0, 0, 0.9)),
        findings(("a", 0, 0, 0, 6), ("b", 0, 0, 0, 6)),
        findings(),
        ["a", "b"],
    )
    np.testing.assert_array_equal(outcome.entry_score, [0.9, 0.4, 0.3, 0.1])
    np.testing.assert_array_equal(outcome.entry_is_hit, [False, True, True, False])
    np.testing.assert_array_equal(outcome.entry_scan, [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("series_uids", "message"),
    [
        ([], "series list: found no series"),
        (["a", "b", "a"], "series list: found 'a' 2 times"),
        (["b"], "marks: found series 'a', expected one of the 1 listed series"),
    ],
)
def test_scan_lists_that_cannot_be_right_are_refused(marks, findings, series_uids, message):
    with pytest.raises(InputError, match=message):
        match(marks(("a", 0, 0, 0, 1)), findings(("a", 0, 0, 0, 6)), findings(), series_uids)


def test_a_list_without_any_nodule_is_refused(marks, findings):
    with pytest.raises(InputError, match="found no nodule in the 2 listed scans"):
        match(marks(), findings(("z", 0, 0, 0, 6)), findings(), ["a", "b"])
