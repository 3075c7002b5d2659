"""LUNA16's CSV files: findings (annotations, excluded findings) and the list of scans.

World coordinates in mm, x y z, as in the files. Every cell is checked, because one bad cell moves a score unseen.
"""

import csv
import gzip
import io
import math
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medssl_jax.atomic import atomic_path
from medssl_jax.errors import InputError

COORDINATE_COLUMNS = ("coordX", "coordY", "coordZ")
UNKNOWN_DIAMETER = -1.0


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
    def none(cls) -> "Findings":
        """No finding at all."""
        return cls((), np.zeros((0, 3)), np.zeros(0))


def read_annotations(path: str | os.PathLike, *, known_series: Collection[str] | None = None) -> Findings:
    """Reads `annotations.csv` or `annotations_excluded.csv`, plain or as `.csv.gz`.

    Raises InputError at the first bad cell, and at a series outside `known_series` where that is given.
    """
    known = None if known_series is None else frozenset(known_series)
    series_uid, numbers = [], []
    for row, cells in read_table(path, ("seriesuid", *COORDINATE_COLUMNS, "diameter_mm")):
        uid = known_series_cell(path, row, cells[0], known)
        coordinates = [number_cell(path, row, *pair) for pair in zip(COORDINATE_COLUMNS, cells[1:4], strict=True)]
        diameter = number_cell(path, row, "diameter_mm", cells[4])
        if diameter <= 0 and diameter != UNKNOWN_DIAMETER:
            raise InputError(
                f"{path}: row {row}, column diameter_mm: found {cells[4]!r}, "
                "expected a positive length in mm, or -1 where it was not measured; correct the cell"
            )
        series_uid.append(uid)
        numbers.append((*coordinates, diameter))
    table = np.array(numbers, np.float64).reshape(-1, 4)
    return Findings(tuple(series_uid), table[:, :3].copy(), table[:, 3].copy())


def read_series_uids(path: str | os.PathLike) -> tuple[str, ...]:
    """Reads `seriesuids.csv`: one series a line, no header. Raises InputError at a series listed twice."""
    first_row: dict[str, int] = {}
    for row, cells in _rows(path):
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
        if uid in first_row:
            raise InputError(
                f"{path}: row {row}: found {uid!r} for the second time (first in row {first_row[uid]}), "
                "expected every series once; take one of the two out"
            )
        first_row[uid] = row
    if not first_row:
        raise InputError(f"{path}: found no series, expected one series UID a line; give LUNA16's seriesuids.csv")
    return tuple(first_row)


def write_series_uids(path: str | os.PathLike, series_uids: Sequence[str]) -> None:
    """Writes a list of series as LUNA16's own: one a line, no header."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{uid}\n" for uid in series_uids))


def read_table(path: str | os.PathLike, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields (row number in the file, the cells of `columns` in that order) for every row below the header.

    Further columns are allowed; a missing or repeated one, or a row of another length, is an InputError.
    """
    rows = _rows(path)
    header_row, header = next(rows, (1, []))
    for column in columns:
        if header.count(column) != 1:
            found = "an empty file" if not header else f"the header {','.join(header)!r}"
            raise InputError(
                f"{path}: row {header_row}: found {found}, expected the column {column!r} once "
                f"among {','.join(columns)}; correct the header"
            )
    places = [header.index(column) for column in columns]
    for row, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{path}: row {row}: found {len(cells)} cells, expected {len(header)} as in the header; correct the row"
            )
        yield row, [cells[place] for place in places]


def series_uid_cell(path: str | os.PathLike, row: int, cell: str) -> str:
    """The series UID in a cell; InputError where it is empty."""
    if not cell:
        raise InputError(f"{path}: row {row}, column seriesuid: found an empty cell, expected a series UID; fill it in")
    return cell


def known_series_cell(path: str | os.PathLike, row: int, cell: str, known: frozenset[str] | None) -> str:
    """The series UID in a cell; InputError where it is empty, or not in `known` where that is given."""
    uid = series_uid_cell(path, row, cell)
    if known is not None and uid not in known:
        raise InputError(
            f"{path}: row {row}, column seriesuid: found {uid!r}, expected one of the {len(known)} listed series; "
            "correct the id, take the row out, or list its scan"
        )
    return uid


def number_cell(path: str | os.PathLike, row: int, column: str, cell: str) -> float:
    """The finite number in a cell; InputError where there is none."""
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(
            f"{path}: row {row}, column {column}: found {cell!r}, expected a finite number; correct the cell"
        )
    return number


def _rows(path: str | os.PathLike) -> Iterator[tuple[int, list[str]]]:
    """(row number in the file, stripped cells) of every line that is not blank."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        if os.fspath(path).endswith(".gz"):
            content = gzip.decompress(content)
        # The signature is what a spreadsheet puts before the first header cell.
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: found no such file, expected a CSV file; correct the path") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: found no whole gzip file ({error}), expected a .csv.gz; fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; correct the path") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: found bytes that are no text ({error.reason}), expected a CSV file in UTF-8; correct the path"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{path}: row {reader.line_num}: found no CSV ({error}); correct the row") from error
