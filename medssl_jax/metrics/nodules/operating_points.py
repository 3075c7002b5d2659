"""What a detector's scores are worth, from scans kept apart from its training: thresholds, and a calibration.

Both are of LUNA16's entries (`matching.match`): one for each nodule found, with the best score on it, and one for each
false positive; marks on excluded findings and second marks on a nodule count for neither.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import Bool, Float

from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN
from medssl_jax.metrics.nodules.matching import Outcome

with epy.lazy_imports():
    import scipy.optimize
    import scipy.special

LEAST_SCORE = 1e-6  # scores nearer to 0 or 1 are taken for this far from it, so that their log odds are finite
BINS = 10


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """The lowest score that keeps to `fps_per_scan`, and what marks of it and above did: found and false a scan."""

    fps_per_scan: float
    threshold: float
    sensitivity: float
    measured_fps_per_scan: float


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
            f"At this threshold, {threshold:.3g}, this detector had sensitivity {point.sensitivity:.2f} and "
            f"{point.measured_fps_per_scan:.2g} false positives a scan on {scans}."
        )

    def as_json(self) -> dict[str, Any]:
        """All of it, as `from_json` reads it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "OperatingPoints":
        """What `as_json` gave. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        points = tuple(OperatingPoint(**each) for each in content["points"])
        calibration = None if content["calibration"] is None else Calibration(**content["calibration"])
        return cls(**{**content, "points": points, "calibration": calibration})


def operating_points(outcome: Outcome, *, fps_per_scan: Sequence[float] = FPS_PER_SCAN) -> tuple[OperatingPoint, ...]:
    """For each rate the lowest score of the outcome that has no more false positives a scan.

    Rates are left out that even the highest score is beyond. Where the marks run out before a rate is reached, the
    lowest score is taken, and `measured_fps_per_scan` is below the rate.
    """
    scans, nodules = len(outcome.series_uids), int(outcome.nodules_per_scan.sum())
    scores, last = np.unique(-outcome.entry_probability, return_inverse=True)  # falling: marks of a score go together
    hits = np.bincount(last, outcome.entry_is_hit, len(scores)).cumsum()
    false = np.bincount(last, ~outcome.entry_is_hit, len(scores)).cumsum()
    points = []
    for rate in fps_per_scan:
        allowed = int(np.searchsorted(false, rate * scans, side="right"))
        if allowed:
            k = allowed - 1
            points.append(OperatingPoint(rate, float(-scores[k]), float(hits[k] / nodules), float(false[k] / scans)))
    return tuple(points)


def measured_on(points: OperatingPoints, outcome: Outcome) -> OperatingPoints:
    """The thresholds and calibration of `points` with what they do on an outcome they were not chosen on.

    No calibration is left where the outcome has no marks.
    """
    score, is_hit = outcome.entry_probability, outcome.entry_is_hit
    scans, nodules = len(outcome.series_uids), int(outcome.nodules_per_scan.sum())

    def moved(point: OperatingPoint) -> OperatingPoint:
        shown = score >= point.threshold
        hits, false = int((shown & is_hit).sum()), int((shown & ~is_hit).sum())
        return dataclasses.replace(point, sensitivity=hits / nodules, measured_fps_per_scan=false / scans)

    calibration = points.calibration if len(score) else None
    if calibration is not None:
        before, after = (expected_calibration_error(each, is_hit) for each in (score, calibration(score)))
        calibration = dataclasses.replace(calibration, error_before=before, error_after=after)
    return dataclasses.replace(
        points, scans=scans, nodules=nodules, points=tuple(map(moved, points.points)), calibration=calibration
    )


def calibrate(outcome: Outcome) -> Calibration | None:
    """The calibration of an outcome's scores; None unless two scans have marks, and some are hits and some false."""
    score, is_hit, scan = outcome.entry_probability, outcome.entry_is_hit, outcome.entry_scan
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
