"""Scores of classified slides: confusion matrix, total accuracy, scores of each class, differences of two methods.

Classes are numbered from 0. Table 3 and Table 4 are those of Maksoud et al., "SOS: Selective Objective Switch for
rapid immunofluorescence whole slide image classification", CVPR 2020.
"""

from typing import NamedTuple

import numpy as np
from etils import epy
from jaxtyping import Bool, Float, Int

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.bootstrap import draw_counts, interval_95

with epy.lazy_imports():
    from scipy import stats


class Estimate(NamedTuple):
    """A value with the two ends of its 95 % interval."""

    value: float
    low: float
    high: float


class ClassScores(NamedTuple):
    """Each class against all others, as fractions in the order of the classes."""

    f1: Float[np.ndarray, " classes"]
    precision: Float[np.ndarray, " classes"]
    recall: Float[np.ndarray, " classes"]
    specificity: Float[np.ndarray, " classes"]


def confusion_matrix(
    label: Int[np.ndarray, " slides"], predicted: Int[np.ndarray, " slides"], classes: int
) -> Int[np.ndarray, "classes classes"]:
    """The number of slides of each class (row) that were given each class (column)."""
    return np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_scores(confusion: Int[np.ndarray, "classes classes"]) -> ClassScores:
    """F1, precision, recall and specificity (true negatives among all slides of other classes) as in Table 4.

    A class that is there and was never given has precision and F1 0, as the paper prints it. What the slides leave
    open is nan: recall and F1 of a class that is not there, specificity where there is no other class.
    """
    hits = np.diag(confusion)
    there, given, slides = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    false = given - hits
    return ClassScores(
        f1=np.where(there > 0, 2 * hits / np.maximum(there + given, 1), np.nan),
        precision=hits / np.maximum(given, 1),
        recall=np.where(there > 0, hits / np.maximum(there, 1), np.nan),
        specificity=np.where(there < slides, 1 - false / np.maximum(slides - there, 1), np.nan),
    )


def accuracy_of_counts(right: int, slides: int) -> Estimate:
    """Total accuracy with its Wilson interval.

    Wilson's, because near 1 and with a few hundred slides the normal interval is too narrow and leaves [0, 1], and the
    exact one (Clopper-Pearson) is wider than it says (Brown, Cai, DasGupta, Statistical Science 16, 2001).
    Raises InputError where there is no slide.
    """
    if slides < 1:
        raise InputError("accuracy: found no slide, expected at least one; give a data set with test slides")
    interval = stats.binomtest(right, slides).proportion_ci(0.95, method="wilson")
    return Estimate(right / slides, float(interval.low), float(interval.high))


def total_accuracy(right: Bool[np.ndarray, "runs slides"], *, bootstraps: int = 2000, seed: int = 0) -> Estimate:
    """Accuracy of one run, or the mean of several (seeds) over the same slides.

    One run has Wilson's interval. Several runs judge the same slides, so their answers are not independent: the
    interval is then a bootstrap over slides, and does not tell how much another seed would change.
    """
    runs, slides = right.shape
    if runs == 1:
        return accuracy_of_counts(int(right.sum()), slides)
    return _mean_over_slides(right.mean(axis=0), bootstraps, seed)


def _mean_over_slides(values: Float[np.ndarray, " slides"], bootstraps: int, seed: int) -> Estimate:
    slides = len(values)
    if slides < 1:
        raise InputError("accuracy: found no slide, expected at least one; give a data set with test slides")
    counts = draw_counts(np.ones(slides, np.int64), bootstraps, seed)
    return Estimate(float(values.mean()), *interval_95(counts @ values / slides).tolist())
