"""What is missed and what is false is what LUNA16's rules count as such."""

import numpy as np
import pytest

from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.nodules.matching import match
from medssl_jax.metrics.nodules.mistakes import find_mistakes


def case(marks, findings):
    """Nodules found well, found badly, twice, never; marks on nothing and on an excluded finding; a scan not listed."""
    nodules = findings(
        ("a", 0, 0, 0, 6),
        ("b", 50, 0, 0, 8),
        ("b", 0, 0, 0, 10),
        ("c", 0, 0, 0, 12),
        ("c", 80, 0, 0, 20),
        ("z", 0, 0, 0, 5),
    )
    excluded = findings(("c", 200, 0, 0, -1))
    found = marks(
        ("c", 300, 0, 0, 0.8),
        ("a", 1, 0, 0, 0.9),
        ("a", -1, 0, 0, 0.2),
        ("b", 50, 1, 0, 0.3),
        ("a", 99, 0, 0, 0.95),
        ("c", 201, 0, 0, 0.99),
        ("b", 0, 0, 1, 0.6),
    )
    return found, nodules, excluded, ["a", "b", "c"]


def test_a_case_by_hand(marks, findings):
    found = find_mistakes(*case(marks, findings), threshold=0.5)
    assert (found.nodules, found.threshold) == (5, 0.5)
    # What nothing hit first, the larger before the smaller; then the one that only a weak mark hit.
    assert [(each.series_uid, each.diameter_mm) for each in found.missed] == [("c", 20), ("c", 12), ("b", 8)]
    assert [each.centre_xyz_mm.tolist() for each in found.missed] == [[80, 0, 0], [0, 0, 0], [50, 0, 0]]
    assert [each.score for each in found.missed][2] == 0.3
    assert np.isnan([each.score for each in found.missed[:2]]).all()
    assert [(each.series_uid, each.score) for each in found.false_positives] == [("a", 0.95), ("c", 0.8)]
    assert np.isnan(found.false_positives[0].diameter_mm)


@pytest.mark.parametrize("threshold", [-np.inf, 0.3, 0.31, 0.9, np.inf])
def test_as_many_as_the_score_counts(marks, findings, threshold):
    found = find_mistakes(*case(marks, findings), threshold=threshold)
    outcome = match(*case(marks, findings))
    hits = outcome.entry_is_hit & (outcome.entry_score >= threshold)
    assert len(found.missed) == outcome.nodules_per_scan.sum() - hits.sum()
    np.testing.assert_array_equal(
        [each.score for each in found.false_positives], outcome.entry_score[~outcome.entry_is_hit]
    )


def test_diameters_are_kept_where_they_are_known(findings):
    marks = Marks(("a", "a"), np.array([[99.0, 0, 0], [70, 0, 0]]), np.array([0.5, 0.9]), np.array([7.0, 4.0]))
    found = find_mistakes(marks, findings(("a", 0, 0, 0, -1)), findings(), ["a"], threshold=0.0)
    assert [each.diameter_mm for each in found.false_positives] == [4, 7]
    assert np.isnan(found.missed[0].diameter_mm)
