"""LUNA16's official score: the FROC curve, its seven sensitivities, their mean (CPM) and what scans leave open.

Rules and script: Setio et al., "Validation, comparison, and combination of algorithms for automatic detection of
pulmonary nodules in computed tomography images: the LUNA16 challenge", Medical Image Analysis 42 (2017).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.bootstrap import Interval, draw_counts, interval_95
from medssl_jax.metrics.nodules.matching import Outcome, match

FPS_PER_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_STEPS_PER_OCTAVE = 24


@dataclass(frozen=True)
class Curve:
    """Sensitivity at rising rates of false positives per scan, with the 95 % band of the bootstrap."""

    fps_per_scan: Float[np.ndarray, " points"]
    sensitivity: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]


@dataclass(frozen=True)
class FrocResult:
    """One scored submission; the first eleven fields and the two intervals are what `froc.json` holds."""

    scans: int
    nodules: int
    candidates_after_cap: int
    true_positives: int
    false_positives: int
    false_negatives: int
    ignored_on_excluded: int
    ignored_double_detections: int
    fps_per_scan: tuple[float, ...]
    sensitivity: tuple[float, ...]
    cpm: float
    cpm_interval_95: Interval
    sensitivity_interval_95: tuple[Interval, ...]
    curve: Curve
    outcome: Outcome

    def as_json(self) -> str:
        """The text of `froc.json`."""
        beyond_json = ("curve", "outcome")
        fields = {name: value for name, value in vars(self).items() if name not in beyond_json}
        return json.dumps(fields, indent=2, allow_nan=False) + "\n"


def score(
    marks: Marks,
    annotations: Findings,
    excluded: Findings | None,
    series_uids: Sequence[str],
    *,
    fps_per_scan: Sequence[float] = FPS_PER_SCAN,
    bootstraps: int = 1000,
    seed: int = 0,
) -> FrocResult:
    """Scores marks by LUNA16's official procedure; false positives per scan divide by all of `series_uids`.

    The CPM is the mean sensitivity at the rising `fps_per_scan`; others than the official seven are for scans that are
    no whole chests, and such a CPM stands beside none of LUNA16's. Raises InputError as `matching.match` does: marks
    outside the list, an empty list, no nodule in the listed scans.
    """
    outcome = match(marks, annotations, Findings.none() if excluded is None else excluded, series_uids)
    once = np.ones((1, len(series_uids)), np.int64)
    rates = curve_rates(fps_per_scan)
    curve = sensitivities(outcome, once, rates)[0]
    counts = draw_counts(outcome.nodules_per_scan, bootstraps, seed)
    resampled = sensitivities(outcome, counts, rates)
    band = interval_95(resampled)
    asked = np.searchsorted(rates, fps_per_scan)
    nodules = int(outcome.nodules_per_scan.sum())
    hits = int(outcome.entry_is_hit.sum())
    return FrocResult(
        scans=len(series_uids),
        nodules=nodules,
        candidates_after_cap=outcome.candidates_after_cap,
        true_positives=hits,
        false_positives=len(outcome.entry_is_hit) - hits,
        false_negatives=nodules - hits,
        ignored_on_excluded=outcome.ignored_on_excluded,
        ignored_double_detections=outcome.ignored_double_detections,
        fps_per_scan=tuple(fps_per_scan),
        sensitivity=tuple(curve[asked].tolist()),
        cpm=float(curve[asked].mean()),
        cpm_interval_95=Interval(*interval_95(resampled[:, asked].mean(axis=1)).tolist()),
        sensitivity_interval_95=tuple(Interval(*ends) for ends in band[:, asked].T.tolist()),
        curve=Curve(rates, curve, band[0], band[1]),
        outcome=outcome,
    )


def curve_rates(fps_per_scan: Sequence[float]) -> Float[np.ndarray, " points"]:
    """The rates at which a curve is drawn: from the first to the last of rising ones, 24 an octave, and these."""
    ends = _STEPS_PER_OCTAVE * np.log2([fps_per_scan[0], fps_per_scan[-1]])
    between = np.arange(math.ceil(ends[0]), math.floor(ends[1]) + 1)
    return np.union1d(np.exp2(between / _STEPS_PER_OCTAVE), fps_per_scan)


def sensitivities(
    outcome: Outcome, scan_counts: Int[np.ndarray, "resamples scans"], fps_per_scan: Float[np.ndarray, " points"]
) -> Float[np.ndarray, "resamples points"]:
    """Sensitivity at `fps_per_scan` where scan s is in a resample `scan_counts[:, s]` times.

    The curve has one point for every distinct score, begins at (0, 0), is linear in between and flat beyond its
    end; where it rises vertically the upper end counts. Every resample must hold a nodule.
    """
    ends = _last_of_equal(outcome.entry_score)
    asked = np.asarray(fps_per_scan) * len(outcome.series_uids)
    found = np.empty((len(scan_counts), len(asked)))
    # One resample at a time stays in the cache; all at once is slower and takes gigabytes.
    for row, counts in enumerate(scan_counts.astype(np.int32)):
        weight = counts[outcome.entry_scan]
        hits = np.cumsum(weight * outcome.entry_is_hit)[ends]
        false = np.cumsum(weight * ~outcome.entry_is_hit)[ends]
        # Counts, not rates, are interpolated: whole numbers meet the seven points without rounding.
        found[row] = np.interp(asked, np.append(0, false), np.append(0, hits))
    return found / (scan_counts @ outcome.nodules_per_scan)[:, None]


def _last_of_equal(falling: Float[np.ndarray, " n"]) -> Int[np.ndarray, " groups"]:
    """The last index of each run of equal values: marks of one score cross a threshold together."""
    return np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(falling)])
