"""What a detector got wrong, one by one: the nodules that it missed at a threshold, and its false positives."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.nodules.matching import match_scans


class Mistake(NamedTuple):
    """A place in a scan, in world mm; nan where a diameter or, of a nodule that no mark hit, a score is not known."""

    series_uid: str
    centre_xyz_mm: Float[np.ndarray, "3"]
    diameter_mm: float
    score: float


@dataclasses.dataclass(frozen=True, eq=False)
class Mistakes:
    """Nodules without a mark from `threshold` on, those that nothing hit and the large ones first; all false positives,
    the highest score first.
    """

    threshold: float
    nodules: int
    missed: tuple[Mistake, ...]
    false_positives: tuple[Mistake, ...]


def find_mistakes(
    marks: Marks, annotations: Findings, excluded: Findings, series_uids: Sequence[str], *, threshold: float
) -> Mistakes:
    """The mistakes by LUNA16's rules (`matching.match`). Raises InputError as that does."""
    outcomes = match_scans(marks, annotations, excluded, series_uids)
    nodules = [
        Mistake(
            annotations.series_uid[row],
            annotations.centre_xyz_mm[row],
            _known(annotations.diameter_mm[row]),
            float(score) if score > -np.inf else np.nan,
        )
        for of in outcomes
        for row, score in zip(of.nodule_row, of.nodule_score, strict=True)
    ]
    false = [
        Mistake(
            marks.series_uid[row],
            marks.centre_xyz_mm[row],
            np.nan if marks.diameter_mm is None else _known(marks.diameter_mm[row]),
            float(marks.score[row]),
        )
        for of in outcomes
        for row in of.false_row
    ]
    missed = [each for each in nodules if not each.score >= threshold]
    return Mistakes(
        threshold=threshold,
        nodules=len(nodules),
        missed=tuple(sorted(missed, key=lambda each: (not np.isnan(each.score), -np.nan_to_num(each.diameter_mm)))),
        false_positives=tuple(sorted(false, key=lambda each: -each.score)),
    )


def _known(diameter_mm: float) -> float:
    """LUNA16 writes -1 for what was not measured."""
    return float(diameter_mm) if diameter_mm > 0 else np.nan
