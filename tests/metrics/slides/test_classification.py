"""The paper's Table 4 is the oracle of the class scores; intervals are held to what defines them."""

from collections import Counter

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.bootstrap import draw_counts
from medssl_jax.metrics.slides import classification
from medssl_jax.metrics.slides.classification import (
    accuracy_of_counts,
    class_scores,
    confusion_matrix,
    total_accuracy,
)
from medssl_jax.report.slides.sos_paper import PAPER, PAPER_SLIDES

SLIDES = sum(PAPER_SLIDES.values())
# What the paper's precision and recall come to in slides of LKS's test set: (rightly given, given) for each class.
PAPER_COUNTS = {
    "Image-Level": ((99, 122), (40, 44), (28, 38), (1, 1)),
    "Patch-Level": ((98, 143), (36, 40), (8, 22), (0, 0)),
    "Multi-Scale": ((99, 115), (37, 40), (35, 44), (4, 6)),
    "RDMS": ((93, 97), (43, 49), (41, 52), (5, 7)),
    "SOS": ((95, 99), (43, 47), (41, 50), (7, 9)),
}


def random_answers(seed, slides=200, classes=4):
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, slides), rng.integers(0, classes, slides)


@pytest.mark.parametrize("method", PAPER)
def test_table_4_is_whole_slides_and_its_specificity_is_one_class_against_the_rest(method):
    for (name, there), (hits, given) in zip(PAPER_SLIDES.items(), PAPER_COUNTS[method], strict=True):
        one_against_rest = np.array([[hits, there - hits], [given - hits, SLIDES - there - given + hits]])
        scores = [float(score[0]) for score in class_scores(one_against_rest)]
        assert scores == pytest.approx(PAPER[method].class_scores[name], abs=1.01e-4)  # some are cut, not rounded
    hits, given = np.array(PAPER_COUNTS[method]).T
    assert (hits.sum(), given.sum()) == (PAPER[method].right, SLIDES)


def test_confusion_counts_pairs():
    label, predicted = random_answers(0)
    counted = Counter(zip(label.tolist(), predicted.tolist(), strict=True))
    confusion = confusion_matrix(label, predicted, 4)
    assert {place: n for place, n in np.ndenumerate(confusion) if n} == counted
    assert confusion_matrix(np.array([0]), np.array([2]), 3).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_scores_equal_counting_slide_by_slide():
    label, predicted = random_answers(1)
    scores = class_scores(confusion_matrix(label, predicted, 4))
    for k in range(4):
        of_given = [truth == k for truth, given in zip(label, predicted, strict=True) if given == k]
        of_there = [given == k for truth, given in zip(label, predicted, strict=True) if truth == k]
        of_others = [given != k for truth, given in zip(label, predicted, strict=True) if truth != k]
        precision, recall = np.mean(of_given), np.mean(of_there)
        assert scores.precision[k] == pytest.approx(precision)
        assert scores.recall[k] == pytest.approx(recall)
        assert scores.specificity[k] == pytest.approx(np.mean(of_others))
        assert scores.f1[k] == pytest.approx(2 / (1 / precision + 1 / recall))


def test_what_the_slides_leave_open_is_nan_and_never_given_is_zero():
    scores = class_scores(np.array([[2, 0, 1], [1, 0, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(scores.precision, [2 / 3, 0, 0])
    np.testing.assert_array_equal(scores.recall, [2 / 3, 0, np.nan])
    np.testing.assert_array_equal(scores.f1, [2 / 3, 0, np.nan])
    np.testing.assert_allclose(scores.specificity, [0, 1, 3 / 4])
    assert np.isnan(class_scores(np.array([[5]])).specificity).all()


@pytest.mark.parametrize(("right", "slides"), [(168, 205), (186, 205), (1, 3), (1199, 1200)])
def test_wilson_s_ends_are_the_accuracies_that_the_count_would_just_not_refute(right, slides):
    value, low, high = accuracy_of_counts(right, slides)
    assert value == right / slides
    for end in (low, high):
        assert abs(value - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / slides), rel=1e-5)
    assert 0 < low < value < high < 1


def test_all_right_is_not_certain():
    value, low, high = accuracy_of_counts(20, 20)
    assert (value, high) == (1, pytest.approx(1))
    assert low == pytest.approx(20 / (20 + 1.959964**2), rel=1e-6)


def test_several_runs_are_averaged_within_each_slide():
    right = np.random.default_rng(0).random((1, 400)) < 0.85
    one = total_accuracy(right)
    assert one == accuracy_of_counts(int(right.sum()), 400)
    # Three equal runs tell no more than one.
    three = total_accuracy(np.repeat(right, 3, axis=0))
    assert three.value == pytest.approx(one.value)
    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=0.01)


def test_slides_are_drawn_two_thousand_times(monkeypatch):
    drawn = []

    def draw(slides, bootstraps, seed):
        drawn.append((bootstraps, seed))
        return draw_counts(slides, 2, seed)

    monkeypatch.setattr(classification, "draw_counts", draw)
    total_accuracy(np.ones((2, 3), bool))
    assert drawn == [(2000, 0)]


def test_no_slide_is_refused():
    with pytest.raises(InputError, match="found no slide"):
        accuracy_of_counts(0, 0)
    with pytest.raises(InputError, match="found no slide"):
        total_accuracy(np.zeros((2, 0), bool))
