"""Accuracy against LP, the share of slides settled at low resolution, as the threshold of a switch moves.

The area under it is a method's mean accuracy over all LP from 0 to 1: what its switch is worth, whatever its threshold.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


class AccuracyByShare(NamedTuple):
    """Accuracy at each LP that a threshold can have, of each resample; between two of them it changes linearly.

    Linearly, since among slides that a switch cannot tell apart those that stay low are drawn at random.
    """

    low_share: Float[np.ndarray, "resamples points"]
    accuracy: Float[np.ndarray, "resamples points"]

    def area(self) -> Float[np.ndarray, " resamples"]:
        """The mean accuracy over all LP from 0 to 1."""
        area: Float[np.ndarray, " resamples"] = np.trapezoid(self.accuracy, self.low_share, axis=1)
        return area

    def at(self, low_share: float) -> Float[np.ndarray, " resamples"]:
        """The accuracy at one LP."""
        pairs = zip(self.low_share, self.accuracy, strict=True)
        return np.array([np.interp(low_share, share, accuracy) for share, accuracy in pairs])


def accuracy_by_share(
    settled_by: Shaped[np.ndarray, " slides"],
    low_right: Bool[np.ndarray, " slides"],
    high_right: Bool[np.ndarray, " slides"],
    counts: Int[np.ndarray, "resamples slides"],
) -> AccuracyByShare:
    """The curve of a switch that keeps the slides of the largest `settled_by` low, sending the others to the HRN.

    `low_right` and `high_right` say whose answers are right; each slide is taken as often as `counts` says.
    """
    order = np.argsort(-settled_by, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(settled_by[order]) != 0, True)) + 1
    times = counts[:, order]

    def so_far(values: Int[np.ndarray, "resamples slides"]) -> Float[np.ndarray, "resamples points"]:
        """Sums over the slides that stay, at each share that a threshold can have."""
        sums = np.cumsum(values, axis=1)[:, ends - 1]
        return np.concatenate([np.zeros((len(values), 1)), sums], axis=1)

    slides = counts.sum(axis=1, keepdims=True)
    sent_right = so_far(times * high_right[order])
    right = so_far(times * low_right[order]) + sent_right[:, -1:] - sent_right
    return AccuracyByShare(so_far(times) / slides, right / slides)
