"""Marks matched to nodules by the rules of LUNA16's evaluation.

What the rules leave is a list of entries, one for each nodule found (its most probable hit) and one for each false
positive: all that a FROC curve needs. World coordinates in mm, x y z.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks

MARKS_PER_SCAN = 100
DIAMETER_OF_UNMEASURED_MM = 10.0


@dataclass(frozen=True)
class Outcome:
    """Marks after matching; entries by falling probability, scans in the order of `series_uids`."""

    series_uids: tuple[str, ...]
    nodules_per_scan: Int[np.ndarray, " scans"]
    entry_scan: Int[np.ndarray, " entries"]
    entry_is_hit: Bool[np.ndarray, " entries"]
    entry_probability: Float[np.ndarray, " entries"]
    candidates_after_cap: int
    ignored_on_excluded: int
    ignored_double_detections: int


def match(marks: Marks, annotations: Findings, excluded: Findings, series_uids: Sequence[str]) -> Outcome:
    """Sorts the marks on the listed scans into hits, false positives and ignored ones.

    Findings of series outside the list are left out. Raises InputError where the list is empty, names a series twice
    or holds no annotated nodule (no sensitivity could be stated), and at the first mark of a series outside it.
    """
    _check_list(series_uids)
    scan_of = {uid: scan for scan, uid in enumerate(series_uids)}
    for uid in marks.series_uid:
        if uid not in scan_of:
            raise InputError(
                f"marks: found series {uid!r}, expected one of the {len(scan_of)} listed series; "
                "correct the id or list its scan"
            )
    marks_of = _rows_by_scan(marks.series_uid, scan_of)
    nodules_of = _rows_by_scan(annotations.series_uid, scan_of)
    excluded_of = _rows_by_scan(excluded.series_uid, scan_of)
    nodules_per_scan = np.array([len(rows) for rows in nodules_of], np.int64)
    if not nodules_per_scan.any():
        raise InputError(
            f"annotations: found no nodule in the {len(scan_of)} listed scans, expected at least one; "
            "give the annotations and the scan list of the same scans"
        )
    outcomes = [
        _match_scan(
            marks.centre_xyz_mm[mark_rows],
            marks.probability[mark_rows],
            _spheres(annotations, nodule_rows),
            _spheres(excluded, excluded_rows),
        )
        for mark_rows, nodule_rows, excluded_rows in zip(marks_of, nodules_of, excluded_of, strict=True)
    ]
    probability = np.concatenate([*(of.hit_probability for of in outcomes), *(of.false_probability for of in outcomes)])
    hits = np.array([len(of.hit_probability) for of in outcomes])
    false = np.array([len(of.false_probability) for of in outcomes])
    scan = np.concatenate([np.repeat(np.arange(len(outcomes)), hits), np.repeat(np.arange(len(outcomes)), false)])
    falling = np.argsort(-probability)
    return Outcome(
        series_uids=tuple(series_uids),
        nodules_per_scan=nodules_per_scan,
        entry_scan=scan[falling],
        entry_is_hit=falling < hits.sum(),
        entry_probability=probability[falling],
        candidates_after_cap=sum(of.candidates for of in outcomes),
        ignored_on_excluded=sum(of.on_excluded for of in outcomes),
        ignored_double_detections=sum(of.double for of in outcomes),
    )


class _Spheres(NamedTuple):
    centre_xyz_mm: Float[np.ndarray, "k 3"]
    squared_radius: Float[np.ndarray, " k"]


class _ScanOutcome(NamedTuple):
    hit_probability: Float[np.ndarray, " hits"]
    false_probability: Float[np.ndarray, " false"]
    candidates: int
    on_excluded: int
    double: int


def _match_scan(
    centre_xyz_mm: Float[np.ndarray, "n 3"], probability: Float[np.ndarray, " n"], nodules: _Spheres, excluded: _Spheres
) -> _ScanOutcome:
    within_cap = _within_cap(probability)
    centre_xyz_mm, probability = centre_xyz_mm[within_cap], probability[within_cap]
    hits = _inside(centre_xyz_mm, nodules)
    found = hits.any(axis=0)
    free = ~hits.any(axis=1)
    on_excluded = free & _inside(centre_xyz_mm, excluded).any(axis=1)
    # By column: a mark inside two overlapping nodules finds both, as in the official script.
    best = np.where(hits, probability[:, None], -np.inf).max(axis=0, initial=-np.inf)
    return _ScanOutcome(
        hit_probability=best[found],
        false_probability=probability[free & ~on_excluded],
        candidates=len(probability),
        on_excluded=int(on_excluded.sum()),
        double=int(hits.sum() - found.sum()),
    )


def _check_list(series_uids: Sequence[str]) -> None:
    if not series_uids:
        raise InputError("series list: found no series, expected every scan that was searched; give the scan list")
    uid, times = Counter(series_uids).most_common(1)[0]
    if times > 1:
        raise InputError(f"series list: found {uid!r} {times} times, expected every series once; take the others out")


def _rows_by_scan(series_uid: Sequence[str], scan_of: dict[str, int]) -> list[Int[np.ndarray, " rows"]]:
    rows: list[list[int]] = [[] for _ in scan_of]
    for row, uid in enumerate(series_uid):
        if uid in scan_of:
            rows[scan_of[uid]].append(row)
    return [np.array(of_scan, np.int64) for of_scan in rows]


def _within_cap(probability: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """At most 100 marks: those above the 101st highest, so that ties at that value fall."""
    if len(probability) <= MARKS_PER_SCAN:
        return np.ones(len(probability), bool)
    return probability > np.sort(probability)[-MARKS_PER_SCAN - 1]


def _spheres(findings: Findings, rows: Int[np.ndarray, " k"]) -> _Spheres:
    diameter = findings.diameter_mm[rows]
    diameter = np.where(diameter < 0, DIAMETER_OF_UNMEASURED_MM, diameter)
    return _Spheres(findings.centre_xyz_mm[rows], (diameter / 2) ** 2)


def _inside(centre_xyz_mm: Float[np.ndarray, "n 3"], spheres: _Spheres) -> Bool[np.ndarray, "n k"]:
    offset = centre_xyz_mm[:, None] - spheres.centre_xyz_mm
    return (offset**2).sum(axis=-1) < spheres.squared_radius
