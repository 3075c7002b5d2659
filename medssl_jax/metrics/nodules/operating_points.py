"""What a detector's scores are worth, from scans kept apart from its training: thresholds, and a calibration.

Both are of LUNA16's entries (`matching.match`): one for each nodule found, with the best score on it, and one for each
false positive; marks on excluded findings and second marks on a nodule count for neither.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import Bool, Float, Int

from medssl_jax.metrics.bootstrap import Interval, draw_counts, interval_95
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN
from medssl_jax.metrics.nodules.matching import Outcome

with epy.lazy_imports():
    import scipy.optimize
    import scipy.special

LEAST_SCORE = 1e-6  # scores nearer to 0 or 1 are taken for this far from it, so that their log odds are finite
BINS = 10
BOOTSTRAPS, BOOTSTRAP_SEED = 1000, 0  # our choice, and as many as LUNA16's script draws


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """The lowest score that keeps to `fps_per_scan`, and what marks of it and above did: found and false a scan.

    Both have intervals, of a bootstrap over scans at this very threshold; None where they were written before these.
    """

    fps_per_scan: float
    threshold: float
    sensitivity: float
    measured_fps_per_scan: float
    sensitivity_interval_95: Interval | None = None
    measured_fps_interval_95: Interval | None = None

    def told_fps(self) -> str:
        """The false positives a scan with their interval, such as `0.98 (0.72 to 1.3)`."""
        return f"{_two_digits(self.measured_fps_per_scan)}{_in_brackets(self.measured_fps_interval_95)}"

    def told_sensitivity(self) -> str:
        """The sensitivity with its interval, such as `0.81 (0.74 to 0.88)`."""
        return f"{self.sensitivity:.2f}{_in_brackets(self.sensitivity_interval_95)}"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "OperatingPoint":
        """What `OperatingPoints.as_json` has of a point. Raises `TypeError` for anything else."""
        intervals = {name: each and Interval(**each) for name, each in content.items() if name.endswith("_interval_95")}
        return cls(**{**content, **intervals})


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The probability that a mark is on a nodule as a logistic function of its score's log odds (Platt 1999).

    `error_before` and `error_after` are expected calibration errors; that after is of scans left out of the fit one by
    one, so that it is none of a curve on its own points.
    """

    slope: float
    intercept: float
    error_before: float
    error_after: float

    def __call__(self, score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The probability of each score."""
        return scipy.special.expit(self.slope * _log_odds(score) + self.intercept)


@dataclasses.dataclass(frozen=True)
class OperatingPoints:
    """The points of a detector after `step` steps, and the `scans` of `data`, with `nodules`, that they come from."""

    data: str
    step: int
    scans: int
    nodules: int
    points: tuple[OperatingPoint, ...]
    calibration: Calibration | None

    def at_rate(self, fps_per_scan: float) -> OperatingPoint | None:
        """The point that was asked for at this rate; None where there is none."""
        return next((each for each in self.points if each.fps_per_scan == fps_per_scan), None)

    def at_threshold(self, threshold: float) -> OperatingPoint | None:
        """The point with just this threshold; None where there is none."""
        return next((each for each in self.points if each.threshold == threshold), None)

    def told(self, threshold: float) -> str:
        """What is known of marks of at least `threshold`, in a sentence."""
        point = self.at_threshold(threshold)
        scans = f"{self.scans} validation scans of {self.data} ({self.nodules} nodules)"
        if point is None:
            return f"What this detector finds at a threshold of {threshold:g} was not measured on its {scans}."
        return (
            f"At this threshold, {threshold:.3g}, this detector had sensitivity {point.told_sensitivity()} and "
            f"{point.told_fps()} false positives a scan on {scans}"
            f"{'' if point.measured_fps_interval_95 is None else ', in brackets 95 % intervals over scans'}."
        )

    def as_json(self) -> dict[str, Any]:
        """All of it, as `from_json` reads it; an interval is an object, as it is in reports."""
        return dataclasses.asdict(self, dict_factory=_as_object)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "OperatingPoints":
        """What `as_json` gave. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        points = tuple(OperatingPoint.from_json(each) for each in content["points"])
        calibration = None if content["calibration"] is None else Calibration(**content["calibration"])
        return cls(**{**content, "points": points, "calibration": calibration})


def operating_points(outcome: Outcome, *, fps_per_scan: Sequence[float] = FPS_PER_SCAN) -> tuple[OperatingPoint, ...]:
    """For each rate the lowest score of the outcome that has no more false positives a scan.

    Rates are left out that even the highest score is beyond. Where the marks run out before a rate is reached, the
    lowest score is taken, and `measured_fps_per_scan` is below the rate.
    """
    scans = len(outcome.series_uids)
    scores, last = np.unique(-outcome.entry_score, return_inverse=True)  # falling: marks of a score go together
    false = np.bincount(last, ~outcome.entry_is_hit, len(scores)).cumsum()
    counts = _resamples(outcome)
    points = []
    for rate in fps_per_scan:
        allowed = int(np.searchsorted(false, rate * scans, side="right"))
        if allowed:
            points.append(_measured(rate, float(-scores[allowed - 1]), outcome, counts))
    return tuple(points)


def measured_on(points: OperatingPoints, outcome: Outcome) -> OperatingPoints:
    """The thresholds and calibration of `points` with what they do on an outcome they were not chosen on.

    No calibration is left where the outcome has no marks.
    """
    score, is_hit, counts = outcome.entry_score, outcome.entry_is_hit, _resamples(outcome)
    moved = tuple(_measured(each.fps_per_scan, each.threshold, outcome, counts) for each in points.points)
    calibration = points.calibration if len(score) else None
    if calibration is not None:
        before, after = (expected_calibration_error(each, is_hit) for each in (score, calibration(score)))
        calibration = dataclasses.replace(calibration, error_before=before, error_after=after)
    scans, nodules = len(outcome.series_uids), int(outcome.nodules_per_scan.sum())
    return dataclasses.replace(points, scans=scans, nodules=nodules, points=moved, calibration=calibration)


def _resamples(outcome: Outcome) -> Int[np.ndarray, "bootstraps scans"]:
    return draw_counts(outcome.nodules_per_scan, BOOTSTRAPS, BOOTSTRAP_SEED)


def _measured(
    rate: float, threshold: float, outcome: Outcome, counts: Int[np.ndarray, "bootstraps scans"]
) -> OperatingPoint:
    """What marks of at least `threshold` do on the outcome's scans, and on resamples of these."""
    shown, nodules = outcome.entry_score >= threshold, outcome.nodules_per_scan
    scans = len(nodules)
    hits, false = (
        np.bincount(outcome.entry_scan[shown & (outcome.entry_is_hit == is_hit)], minlength=scans)
        for is_hit in (True, False)
    )
    return OperatingPoint(
        rate,
        threshold,
        sensitivity=float(hits.sum() / nodules.sum()),
        measured_fps_per_scan=float(false.sum() / scans),
        sensitivity_interval_95=Interval(*interval_95(counts @ hits / (counts @ nodules)).tolist()),
        measured_fps_interval_95=Interval(*interval_95(counts @ false / scans).tolist()),
    )


def _as_object(fields: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value._asdict() if isinstance(value, Interval) else value for name, value in fields}


def _in_brackets(interval: Interval | None) -> str:
    return "" if interval is None else f" ({_two_digits(interval.low)} to {_two_digits(interval.high)})"


def _two_digits(number: float) -> str:
    """To two digits, and from 10 on to a whole number: never as a power of ten."""
    return f"{number:.2g}" if number < 10 else f"{number:.0f}"


def calibrate(outcome: Outcome) -> Calibration | None:
    """The calibration of an outcome's scores; None unless two scans have marks, and some are hits and some false."""
    score, is_hit, scan = outcome.entry_score, outcome.entry_is_hit, outcome.entry_scan
    scans = np.unique(scan)
    if len(scans) < 2 or is_hit.all() or not is_hit.any():
        return None
    slope, intercept = fit_logistic(score, is_hit)
    left_out = np.empty(len(score))
    for each in scans:
        inside = scan == each
        a, b = fit_logistic(score[~inside], is_hit[~inside])
        left_out[inside] = scipy.special.expit(a * _log_odds(score[inside]) + b)
    before, after = (expected_calibration_error(each, is_hit) for each in (score, left_out))
    return Calibration(slope, intercept, before, after)


def fit_logistic(score: Float[np.ndarray, " n"], is_hit: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """Slope (0 or more) and intercept over log odds of least cross-entropy to Platt's targets.

    Those are (N+ + 1) / (N+ + 2) for hits and 1 / (N- + 2) for the others, which keeps both finite where scores part
    hits from others. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers,
    1999, section 2.2.
    """
    odds, hits = _log_odds(score), int(is_hit.sum())
    target = np.where(is_hit, (hits + 1) / (hits + 2), 1 / (len(score) - hits + 2))

    def loss(parameters: Float[np.ndarray, "2"]) -> tuple[float, Float[np.ndarray, "2"]]:
        logits = parameters[0] * odds + parameters[1]
        difference = (scipy.special.expit(logits) - target) / len(odds)
        value = np.mean(np.logaddexp(0, logits) - target * logits)
        return float(value), np.array([difference @ odds, difference.sum()])

    bounds = [(0, None), (None, None)]  # a higher score is never less likely
    found = scipy.optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])


def reliability(
    probability: Float[np.ndarray, " n"], is_hit: Bool[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Mean probability, share of hits and number of marks of each of ten equally wide bins that hold a mark."""
    bins = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS).astype(float)
    held = count > 0
    mean = np.bincount(bins, probability, BINS)[held] / count[held]
    share = np.bincount(bins, is_hit, BINS)[held] / count[held]
    return mean, share, count[held]


def expected_calibration_error(probability: Float[np.ndarray, " n"], is_hit: Bool[np.ndarray, " n"]) -> float:
    """The mean distance, over marks, of a bin's mean probability from its share of hits.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3, with ten bins.
    """
    mean, share, count = reliability(probability, is_hit)
    return float(np.abs(mean - share) @ count / count.sum())


def _log_odds(score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return scipy.special.logit(np.clip(score, LEAST_SCORE, 1 - LEAST_SCORE))
