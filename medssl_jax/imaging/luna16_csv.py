"""LUNA16's CSV files: findings (annotations, excluded findings) and the list of scans.

World coordinates in mm, x y z, as in the files. Every cell is checked, because one bad cell moves a score unseen.
"""

import hashlib
import os
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import check_new, csv_text, number_cells, read_rows, read_table
from medssl_jax.core.errors import InputError

COORDINATE_COLUMNS = ("coordX", "coordY", "coordZ")
FINDING_COLUMNS = ("seriesuid", *COORDINATE_COLUMNS, "diameter_mm")
UNKNOWN_DIAMETER = -1.0
# Of the UIDs in LUNA16's seriesuids.csv, sorted, one a line.
LUNA16_SERIES_SHA256 = "3090bf0d4d56ca8131811fa461cca49c7e7803f21089c8122b75e0b668952d43"
LARGEST_DIAMETER_MM = 500.0  # wider than a chest: what is more is in another unit


@dataclass(frozen=True)
class Findings:
    """Points in scans, row by row; a diameter of -1 is LUNA16's for "not measured"."""

    series_uid: tuple[str, ...]
    centre_xyz_mm: Float[np.ndarray, "n 3"]
    diameter_mm: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.series_uid)

    def of_series(self, series_uids: Collection[str]) -> "Findings":
        """The rows whose series is among `series_uids`, in their order."""
        wanted = frozenset(series_uids)
        rows = [row for row, uid in enumerate(self.series_uid) if uid in wanted]
        return Findings(tuple(self.series_uid[row] for row in rows), self.centre_xyz_mm[rows], self.diameter_mm[rows])

    @classmethod
    def from_rows(
        cls, series_uids: Sequence[str], rows: Sequence[Sequence[float]] | Float[np.ndarray, "n 4"]
    ) -> "Findings":
        """Findings of the series and of x, y, z and diameter in mm of each row."""
        table = np.array(rows, np.float64).reshape(-1, 4)
        return cls(tuple(series_uids), table[:, :3].copy(), table[:, 3].copy())

    @classmethod
    def none(cls) -> "Findings":
        """No finding at all."""
        return cls.from_rows((), ())


def is_luna16(series_uids: Iterable[str]) -> bool:
    """True for the 888 series of LUNA16, in any order."""
    return hashlib.sha256("\n".join(sorted(series_uids)).encode()).hexdigest() == LUNA16_SERIES_SHA256


def read_annotations(path: str | os.PathLike[str], *, known_series: Collection[str] | None = None) -> Findings:
    """Reads `annotations.csv`, plain or as `.csv.gz`.

    Raises InputError at the first bad cell, at a row that repeats another, and at a series outside `known_series` where
    that is given.
    """
    return Findings.from_rows(*read_points(path, FINDING_COLUMNS, known_series, once="the same finding"))


def read_excluded(path: str | os.PathLike[str]) -> Findings:
    """Reads `annotations_excluded.csv`, as `read_annotations`, but rows may repeat: a third of LUNA16's own do."""
    return Findings.from_rows(*read_points(path, FINDING_COLUMNS))


def read_series_uids(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Reads `seriesuids.csv`: one series a line, no header. Raises InputError at a series listed twice."""
    row_of: dict[Hashable, int] = {}
    series_uids = []
    for row, cells in read_rows(path):
        if len(cells) != 1:
            raise InputError(
                f"{path}: row {row}: found {len(cells)} cells, expected one series UID a line and no header; "
                "give LUNA16's seriesuids.csv"
            )
        uid = series_uid_cell(path, row, cells[0])
        if uid.lower() == "seriesuid":
            raise InputError(
                f"{path}: row {row}: found the header {uid!r}, expected a series UID; take the header out, "
                "LUNA16's seriesuids.csv has none"
            )
        check_new(path, row, f"the same series {uid!r}", uid, row_of)
        series_uids.append(uid)
    if not series_uids:
        raise InputError(f"{path}: found no series, expected one series UID a line; give LUNA16's seriesuids.csv")
    return tuple(series_uids)


def write_series_uids(path: str | os.PathLike[str], series_uids: Sequence[str]) -> None:
    """Writes a list of series as LUNA16's own: one a line, no header."""
    write_text(path, csv_text([uid] for uid in series_uids))


def series_uid_cell(path: str | os.PathLike[str], row: int, cell: str) -> str:
    """The series UID in a cell; InputError where it is empty."""
    if not cell:
        raise InputError(f"{path}: row {row}, column seriesuid: found an empty cell, expected a series UID; fill it in")
    return cell


def check_diameter(path: str | os.PathLike[str], row: int, diameter_mm: float, *, may_be_unknown: bool = False) -> None:
    """Raises `InputError` where no lesion of a chest has this diameter."""
    if 0 < diameter_mm <= LARGEST_DIAMETER_MM or (may_be_unknown and diameter_mm == UNKNOWN_DIAMETER):
        return
    or_unknown = ", or -1 where it was not measured" if may_be_unknown else ""
    raise InputError(
        f"{path}: row {row}, column diameter_mm: found {diameter_mm:g}, expected more than 0 mm and at most "
        f"{LARGEST_DIAMETER_MM:g}{or_unknown}: correct the cell, or take the row out"
    )


def read_points(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    known_series: Collection[str] | None = None,
    *,
    once: str = "",
) -> tuple[tuple[str, ...], Float[np.ndarray, "n columns"]]:
    """The series of each row and its numbers; `columns` are that of the series, then those of the numbers.

    Raises InputError at the first bad cell, at a series outside `known_series` where that is given, and, where `once`
    calls it something, at a point that is there twice.
    """
    known = None if known_series is None else frozenset(known_series)
    series_uids, table = [], []
    row_of: dict[Hashable, int] = {}
    for row, (uid, *cells) in read_table(path, columns):
        series_uid_cell(path, row, uid)
        if known is not None and uid not in known:
            raise InputError(
                f"{path}: row {row}, column seriesuid: found {uid!r}, expected one of the {len(known)} listed series; "
                "correct the id, take the row out, or list its scan"
            )
        numbers = number_cells(path, row, columns[1:], cells)
        if columns == FINDING_COLUMNS:
            check_diameter(path, row, numbers[3], may_be_unknown=True)
        if once:
            check_new(path, row, once, (uid, *numbers), row_of)
        series_uids.append(uid)
        table.append(numbers)
    return tuple(series_uids), np.array(table, np.float64).reshape(-1, len(columns) - 1)
