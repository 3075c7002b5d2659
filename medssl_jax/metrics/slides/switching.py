"""Scores of the switch between the low- and the high-resolution network: the slides it sends on, and their cost.

A slide's confidence is the largest probability that the low-resolution network (LRN) gives it. The slide keeps the
LRN's answer where its confidence is above c, and is sent to the high-resolution network (HRN) where it is c or less
(Maksoud et al., SOS, CVPR 2020): `losses.confidence.switches` is that rule, `inference.selective` acts on it. LP is the
share of slides that the LRN settles, IT the seconds a slide.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from medssl_jax.core.errors import InputError
from medssl_jax.losses.confidence import switches
from medssl_jax.metrics.slides.classification import accuracy_of_counts


class MeanSeconds(NamedTuple):
    """Seconds of a slide: of the LRN's part, which all have, and of the HRN's, the mean of those that have it."""

    low: float
    high: float

    def per_slide(self, low_share: float) -> float:
        """IT = t_low + (1 - LP) t_high, the mean over all slides."""
        # Where no slide is sent the HRN's part may be unknown (nan), and costs nothing.
        return self.low + (1 - low_share) * self.high if low_share < 1 else self.low


class SwitchScores(NamedTuple):
    """The slides sent to the HRN beside those that need it; nan where there is none to divide by.

    `chance` is the precision of a switch that sends slides at random: the share that needs the HRN.
    """

    sent: int
    needed: int
    sent_and_needed: int
    precision: float
    recall: float
    chance: float


class SwitchCurve(NamedTuple):
    """Every outcome that a choice of c can have, from all slides settled low to none; the band is Wilson's 95 %."""

    c: Float[np.ndarray, " points"]
    low_share: Float[np.ndarray, " points"]
    accuracy: Float[np.ndarray, " points"]
    accuracy_lower: Float[np.ndarray, " points"]
    accuracy_upper: Float[np.ndarray, " points"]
    seconds_per_slide: Float[np.ndarray, " points"]

    def index_at(self, c: float) -> int:
        """The point of the curve that a switch at `c` has."""
        # In the probabilities' own precision, as the switch compares them.
        return int(np.searchsorted(self.c, self.c.dtype.type(c), side="right")) - 1

    def index_of_best(self) -> int:
        """The point of the best accuracy; of several, the one with the largest LP."""
        return int(self.accuracy.argmax())  # LP falls along the curve, and the first maximum is taken


def switched_classes(
    low_probability: Float[np.ndarray, "slides classes"],
    high_probability: Float[np.ndarray, "slides classes"],
    sent: Bool[np.ndarray, " slides"],
) -> Int[np.ndarray, " slides"]:
    """The class that each slide gets where those of `sent` go to the HRN, from the probabilities of both networks."""
    return np.where(sent, high_probability.argmax(axis=1), low_probability.argmax(axis=1))


def low_share(sent: Bool[np.ndarray, " slides"]) -> float:
    """LP, the share of slides that the LRN settles."""
    return float(1 - sent.mean())


def mean_seconds(
    low_seconds: Float[np.ndarray, " slides"],
    high_seconds: Float[np.ndarray, " slides"],
    sent: Bool[np.ndarray, " slides"],
) -> MeanSeconds:
    """The two means behind IT: with them, `per_slide(low_share(sent))` is the mean of the seconds measured.

    `high_seconds` is what the HRN's part took, 0 where the slide was not sent. Where none was sent it is unknown: nan.
    """
    return MeanSeconds(float(low_seconds.mean()), float(high_seconds[sent].mean()) if sent.any() else float("nan"))


def mean_over_runs(seconds: Sequence[MeanSeconds], low_shares: Sequence[float]) -> MeanSeconds:
    """The two means over runs (seeds) with as many slides each: at the mean LP they give the mean of the runs' IT.

    A run counts in the HRN's part by how many slides it sent, one that sent none not at all.
    """
    sent = 1 - np.array(low_shares)
    low, high = np.array(seconds).T
    of_sent = float(np.average(high[sent > 0], weights=sent[sent > 0])) if sent.any() else float("nan")
    return MeanSeconds(float(low.mean()), of_sent)


def speed_boost(seconds_per_slide: float, multi_scale_seconds_per_slide: float) -> float:
    """SB, how many times faster than Multi-Scale on the same slides."""
    return multi_scale_seconds_per_slide / seconds_per_slide


def switch_scores(sent: Bool[np.ndarray, " slides"], needs_high: Bool[np.ndarray, " slides"]) -> SwitchScores:
    """Precision and recall of the switch where it is known which slides show their class at full resolution only."""
    both, n_sent, needed = int((sent & needs_high).sum()), int(sent.sum()), int(needs_high.sum())
    return SwitchScores(
        n_sent, needed, both, _ratio(both, n_sent), _ratio(both, needed), _ratio(needed, len(needs_high))
    )


def switch_curve(
    low_probability: Float[np.ndarray, "slides classes"],
    high_probability: Float[np.ndarray, "slides classes"],
    label: Int[np.ndarray, " slides"],
    seconds: MeanSeconds,
) -> SwitchCurve:
    """Accuracy, LP and expected seconds a slide over c, with no more work than the stored probabilities.

    The points are c = 0, where the LRN settles all, and each confidence that occurs. Raises InputError where there is
    no slide or a probability is not finite.
    """
    if not len(label):
        raise InputError("switch: found no slide, expected at least one; give a data set with slides to sweep c over")
    if not (np.isfinite(low_probability).all() and np.isfinite(high_probability).all()):
        raise InputError(
            "switch: found probabilities that are not finite, expected those of both networks for every slide; "
            "classify the slides with both networks first"
        )
    c = np.append(np.zeros(1, low_probability.dtype), np.unique(low_probability.max(axis=1)))
    sent = np.array([switches(low_probability, float(each)) for each in c])
    low_right = low_probability.argmax(axis=1) == label
    high_right = high_probability.argmax(axis=1) == label
    right = np.where(sent, high_right, low_right).sum(axis=1)
    share = 1 - sent.mean(axis=1)
    accuracy, low, high = np.array([accuracy_of_counts(int(count), len(label)) for count in right]).T
    per_slide = np.array([seconds.per_slide(low_share) for low_share in share.tolist()])
    return SwitchCurve(c, share, accuracy, low, high, per_slide)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
