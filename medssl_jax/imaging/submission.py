"""A detector's marks, and LUNA16's submission format for them.

World coordinates in mm, x y z. LUNA16 calls a score `probability`; it may be any finite number, only its order counts.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import csv_text, read_rows
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.luna16_csv import COORDINATE_COLUMNS, read_points

POINT_COLUMNS = ("seriesuid", *COORDINATE_COLUMNS)
SUBMISSION_COLUMNS = (*POINT_COLUMNS, "probability")
SCORE_COLUMN = "score"  # of detect's own CSV, where a probability is calibrated
MARK_COLUMNS = (*SUBMISSION_COLUMNS, "diameter_mm")


@dataclass(frozen=True)
class Marks:
    """Points a detector reports, row by row; InputError at a number that is not finite."""

    series_uid: tuple[str, ...]
    centre_xyz_mm: Float[np.ndarray, "n 3"]
    score: Float[np.ndarray, " n"]
    diameter_mm: Float[np.ndarray, " n"] | None = None

    def __post_init__(self) -> None:
        for name in ("centre_xyz_mm", "score", "diameter_mm"):
            values = getattr(self, name)
            if values is None:
                continue
            if len(values) != len(self.series_uid):
                raise ValueError(f"{len(self.series_uid)} series but {len(values)} rows of {name}")
            finite = np.isfinite(values)
            if not finite.all():
                row = int(np.argwhere(~finite)[0, 0])
                raise InputError(
                    f"marks: {name} of mark {row} (series {self.series_uid[row]}): found {values[row]}, "
                    "expected finite numbers; look at what produced the marks"
                )

    def __len__(self) -> int:
        return len(self.series_uid)


def write_submission(path: str | os.PathLike[str], marks: Marks) -> None:
    """Writes LUNA16's five columns, digits enough to read the same numbers back; the file appears whole or not at all.

    Diameters are left out: the format has no column for them.
    """
    _write(path, marks, SUBMISSION_COLUMNS, marks.centre_xyz_mm, marks.score)


def write_marks(path: str | os.PathLike[str], marks: Marks) -> None:
    """Writes a submission with the diameters of the marks as a further column, which `read_submission` passes over."""
    assert marks.diameter_mm is not None
    _write(path, marks, MARK_COLUMNS, marks.centre_xyz_mm, marks.score, marks.diameter_mm)


def read_marks(path: str | os.PathLike[str]) -> Marks:
    """Reads what `write_marks` wrote. Raises InputError at the first bad cell and at a mark that is there twice."""
    series_uid, table = read_points(path, MARK_COLUMNS, once="the same mark")
    return Marks(series_uid, table[:, :3].copy(), table[:, 3].copy(), table[:, 4].copy())


def read_submission(path: str | os.PathLike[str], *, known_series: Collection[str] | None = None) -> Marks:
    """Reads a submission, plain or as `.csv.gz`, or the `detections.csv` of `detect`; further columns are ignored.

    A column `score` goes before `probability`, which in the CSV of `detect` is a calibrated one, or empty.

    Raises InputError at the first bad cell, at a mark that is there twice, and at a series outside `known_series` where
    that is given.
    """
    _, header = next(read_rows(path), (1, []))
    columns = (*POINT_COLUMNS, SCORE_COLUMN) if SCORE_COLUMN in header else SUBMISSION_COLUMNS
    series_uid, table = read_points(path, columns, known_series, once="the same mark")
    return Marks(series_uid, table[:, :3].copy(), table[:, 3].copy())


def _write(path: str | os.PathLike[str], marks: Marks, columns: Sequence[str], *numbers: np.ndarray) -> None:
    table = np.column_stack(numbers).astype(np.float64).tolist()
    rows = ((uid, *row) for uid, row in zip(marks.series_uid, table, strict=True))
    write_text(path, csv_text([columns, *rows]))
