"""Marks matched to nodules by the rules of LUNA16's evaluation.

What the rules leave is a list of entries, one for each nodule found (its best hit) and one for each false
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
    """Marks after matching; entries by falling score, scans in the order of `series_uids`."""

    series_uids: tuple[str, ...]
    nodules_per_scan: Int[np.ndarray, " scans"]
    entry_scan: Int[np.ndarray, " entries"]
    entry_is_hit: Bool[np.ndarray, " entries"]
    entry_score: Float[np.ndarray, " entries"]
    candidates_after_cap: int
    ignored_on_excluded: int
    ignored_double_detections: int


class ScanOutcome(NamedTuple):
    """Of one scan: its nodules as rows of the annotations, each with the best mark on it (-inf for none), and the
    false positives as rows of the marks; how many marks counted, lay on excluded findings, and were second on a nodule.
    """

    nodule_row: Int[np.ndarray, " k"]
    nodule_score: Float[np.ndarray, " k"]
    false_row: Int[np.ndarray, " false"]
    false_score: Float[np.ndarray, " false"]
    candidates: int
    on_excluded: int
    double: int

    @property
    def hit_score(self) -> Float[np.ndarray, " hits"]:
        """Of the nodules that were found, in their order."""
        return self.nodule_score[self.nodule_score > -np.inf]


def match(marks: Marks, annotations: Findings, excluded: Findings, series_uids: Sequence[str]) -> Outcome:
    """Sorts the marks on the listed scans into hits, false positives and ignored ones.

    Findings of series outside the list are left out. Raises InputError where the list is empty, names a series twice
    or holds no annotated nodule (no sensitivity could be stated), and at the first mark of a series outside it.
    """
    outcomes = match_scans(marks, annotations, excluded, series_uids)
    nodules_per_scan = np.array([len(of.nodule_row) for of in outcomes], np.int64)
    score = np.concatenate([*(of.hit_score for of in outcomes), *(of.false_score for of in outcomes)])
    hits = np.array([len(of.hit_score) for of in outcomes])
    false = np.array([len(of.false_score) for of in outcomes])
    scan = np.concatenate([np.repeat(np.arange(len(outcomes)), hits), np.repeat(np.arange(len(outcomes)), false)])
    falling = np.argsort(-score)
    return Outcome(
        series_uids=tuple(series_uids),
        nodules_per_scan=nodules_per_scan,
        entry_scan=scan[falling],
        entry_is_hit=falling < hits.sum(),
        entry_score=score[falling],
        candidates_after_cap=sum(of.candidates for of in outcomes),
        ignored_on_excluded=sum(of.on_excluded for of in outcomes),
        ignored_double_detections=sum(of.double for of in outcomes),
    )


def match_scans(
    marks: Marks, annotations: Findings, excluded: Findings, series_uids: Sequence[str]
) -> list[ScanOutcome]:
    """The same scan by scan, with the rows that nodules and false positives have. Raises InputError as `match`."""
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
    if not any(map(len, nodules_of)):
        raise InputError(
            f"annotations: found no nodule in the {len(scan_of)} listed scans, expected at least one; "
            "give the annotations and the scan list of the same scans"
        )
    return [
        _match_scan(
            marks, mark_rows, nodule_rows, _spheres(annotations, nodule_rows), _spheres(excluded, excluded_rows)
        )
        for mark_rows, nodule_rows, excluded_rows in zip(marks_of, nodules_of, excluded_of, strict=True)
    ]


class _Spheres(NamedTuple):
    centre_xyz_mm: Float[np.ndarray, "k 3"]
    squared_radius: Float[np.ndarray, " k"]


def _match_scan(
    marks: Marks,
    mark_rows: Int[np.ndarray, " n"],
    nodule_rows: Int[np.ndarray, " k"],
    nodules: _Spheres,
    excluded: _Spheres,
) -> ScanOutcome:
    rows = mark_rows[_within_cap(marks.score[mark_rows])]
    centre_xyz_mm, score = marks.centre_xyz_mm[rows], marks.score[rows]
    hits = _inside(centre_xyz_mm, nodules)
    free = ~hits.any(axis=1)
    on_excluded = free & _inside(centre_xyz_mm, excluded).any(axis=1)
    is_false = free & ~on_excluded
    return ScanOutcome(
        nodule_row=nodule_rows,
        # By column: a mark inside two overlapping nodules finds both, as in the official script.
        nodule_score=np.where(hits, score[:, None], -np.inf).max(axis=0, initial=-np.inf),
        false_row=rows[is_false],
        false_score=score[is_false],
        candidates=len(rows),
        on_excluded=int(on_excluded.sum()),
        double=int(hits.sum() - hits.any(axis=0).sum()),
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


def _within_cap(score: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """At most 100 marks: those above the 101st highest, so that ties at that value fall."""
    if len(score) <= MARKS_PER_SCAN:
        return np.ones(len(score), bool)
    return score > np.sort(score)[-MARKS_PER_SCAN - 1]


def _spheres(findings: Findings, rows: Int[np.ndarray, " k"]) -> _Spheres:
    diameter = findings.diameter_mm[rows]
    diameter = np.where(diameter < 0, DIAMETER_OF_UNMEASURED_MM, diameter)
    return _Spheres(findings.centre_xyz_mm[rows], (diameter / 2) ** 2)


def _inside(centre_xyz_mm: Float[np.ndarray, "n 3"], spheres: _Spheres) -> Bool[np.ndarray, "n k"]:
    offset = centre_xyz_mm[:, None] - spheres.centre_xyz_mm
    return (offset**2).sum(axis=-1) < spheres.squared_radius


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of several on different scans, as of the ten folds of LUNA16, each by a detector of its own.

    Raises `InputError` where a scan is in two of them.
    """
    series_uids = tuple(uid for outcome in outcomes for uid in outcome.series_uids)
    if len(set(series_uids)) < len(series_uids):
        twice = next(uid for uid in series_uids if series_uids.count(uid) > 1)
        raise InputError(f"joined results: {twice} is in two of them, expected each scan once; join the folds of one")
    before = np.cumsum([0, *(len(outcome.series_uids) for outcome in outcomes)])
    score = np.concatenate([outcome.entry_score for outcome in outcomes])
    falling = np.argsort(-score, kind="stable")
    return Outcome(
        series_uids=series_uids,
        nodules_per_scan=np.concatenate([outcome.nodules_per_scan for outcome in outcomes]),
        entry_scan=np.concatenate([each.entry_scan + n for each, n in zip(outcomes, before, strict=False)])[falling],
        entry_is_hit=np.concatenate([outcome.entry_is_hit for outcome in outcomes])[falling],
        entry_score=score[falling],
        candidates_after_cap=sum(outcome.candidates_after_cap for outcome in outcomes),
        ignored_on_excluded=sum(outcome.ignored_on_excluded for outcome in outcomes),
        ignored_double_detections=sum(outcome.ignored_double_detections for outcome in outcomes),
    )
