"""Marks of a detector as labels: how many are taken, and where they lie in their scans."""

import numpy as np
import pytest

from medssl_jax.data.scans.pseudo_boxes import pseudo_boxes_of
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.submission import Marks

GRIDS = {"a": Grid((9, 9, 9), (1.0, 1.0, 1.0), (10.0, 20.0, 30.0)), "b": Grid((9, 9, 9), (2.0, 1.0, 1.0))}
CENTRES = np.array([[11.0, 22.0, 33.0], [1.0, 2.0, 6.0], [10.0, 20.0, 30.0], [14.0, 20.0, 30.0]])
MARKS = Marks(("a", "b", "a", "a"), CENTRES, np.array([0.5, 0.7, 0.2, 0.9]), np.array([4.0, 6.0, 5.0, 8.0]))


def boxes_of(marks, **shares):
    return pseudo_boxes_of(marks, GRIDS.__getitem__, **shares)


def test_the_best_of_all_scans_are_found_and_the_next_are_doubtful():
    boxes = boxes_of(MARKS, expected=3.0, found_share=0.7, doubtful_share=1.0)
    assert sorted(boxes) == ["a", "b"]
    np.testing.assert_allclose(boxes["a"].found_zyxdhw, [[0, 0, 4, 8, 8, 8]])
    np.testing.assert_allclose(boxes["a"].doubtful_zyxdhw, [[3, 2, 1, 4, 4, 4]])
    np.testing.assert_allclose(boxes["b"].found_zyxdhw, [[3, 2, 1, 3, 6, 6]])
    assert boxes["b"].doubtful_zyxdhw.shape == (0, 6)


@pytest.mark.parametrize(
    ("expected", "found", "doubtful"), [(0.0, 0, 0), (1.0, 1, 1), (2.0, 2, 2), (4.0, 4, 0), (9.0, 4, 0)]
)
def test_as_many_as_are_expected_and_no_more_than_there_are(expected, found, doubtful):
    boxes = boxes_of(MARKS, expected=expected, found_share=1.0, doubtful_share=2.0)
    assert sum(len(each.found_zyxdhw) for each in boxes.values()) == found
    assert sum(len(each.doubtful_zyxdhw) for each in boxes.values()) == doubtful


def test_of_equal_marks_the_first_is_the_better():
    equal = Marks(("b", "a"), CENTRES[:2], np.array([0.5, 0.5]), np.array([4.0, 4.0]))
    boxes = boxes_of(equal, expected=1.0, found_share=1.0, doubtful_share=1.0)
    assert list(boxes) == ["b"]
