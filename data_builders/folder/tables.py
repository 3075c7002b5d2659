"""Tables about scans: lesions as points or boxes, folds, patients. Every cell is checked."""

import difflib
from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data_builders.folder.lesions import Lesions
from medssl_jax.core.csv_files import check_new, number_cells, read_rows, read_table
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.luna16_csv import COORDINATE_COLUMNS, LARGEST_DIAMETER_MM, check_diameter

POINT_COLUMNS = (*COORDINATE_COLUMNS, "diameter_mm")
BOX_COLUMNS = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")


def read_lesion_table(path: Path, known: Collection[str]) -> dict[str, Lesions]:
    """The lesions of each scan that has a row: `seriesuid` and `POINT_COLUMNS`, or `BOX_COLUMNS`.

    They are in world mm of the table's own frame.

    Raises:
      InputError: other columns; a cell that is no number; a diameter or extent that is not positive or wider than a
        chest; a scan that is not in `known`; the same lesion twice.
    """
    columns = _kind_of_table(path)
    row_of: dict[Hashable, int] = {}
    rows_of_scan: dict[str, list[int]] = defaultdict(list)
    numbers_of_scan: dict[str, list[Sequence[float]]] = defaultdict(list)
    for row, (series_uid, *cells) in read_table(path, ("seriesuid", *columns)):
        check_known(path, row, series_uid, known)
        numbers = number_cells(path, row, columns, cells)
        if columns == BOX_COLUMNS:
            _check_box(path, row, numbers)
        else:
            check_diameter(path, row, numbers[3])
        check_new(path, row, "the same lesion", (series_uid, *numbers), row_of)
        rows_of_scan[series_uid].append(row)
        numbers_of_scan[series_uid].append(numbers)
    return {
        series_uid: _lesions(
            columns, np.array(numbers), tuple(f"{path}: row {row}" for row in rows_of_scan[series_uid])
        )
        for series_uid, numbers in numbers_of_scan.items()
    }


def read_column(path: Path, column: str, known: Collection[str]) -> dict[str, tuple[int, str]]:
    """The row and the cell of `column` of each scan in a table with `seriesuid`.

    Raises InputError at an empty cell, a scan twice, or one that is not in `known`.
    """
    row_of: dict[Hashable, int] = {}
    cell_of: dict[str, tuple[int, str]] = {}
    for row, (series_uid, cell) in read_table(path, ("seriesuid", column)):
        check_known(path, row, series_uid, known)
        if not cell:
            raise InputError(f"{path}: row {row}, column {column}: found an empty cell; fill it in or take the row out")
        check_new(path, row, f"the same series {series_uid!r}", series_uid, row_of)
        cell_of[series_uid] = row, cell
    return cell_of


def check_known(path: Path, row: int, series_uid: str, known: Collection[str]) -> None:
    """Raises `InputError` where no scan has this id, with the id it comes nearest to."""
    if series_uid in known:
        return
    raise InputError(f"{path}: row {row}, column seriesuid: found {series_uid!r}, {expected_id(series_uid, known)}")


def expected_id(found: str, known: Collection[str]) -> str:
    """The end of a message about an id that no scan has: what was expected, and what to do."""
    nearest = difflib.get_close_matches(found, known, n=1, cutoff=0) or sorted(known)[:1]
    return (
        f"expected the id of one of the {len(known)} scans, such as {nearest[0]!r} (DICOM: its SeriesInstanceUID; else "
        "the file name without extension): correct the id, or take it out"
    )


def _kind_of_table(path: Path) -> tuple[str, ...]:
    _, header = next(read_rows(path), (1, []))
    has_points, has_boxes = (not set(header).isdisjoint(columns) for columns in (POINT_COLUMNS, BOX_COLUMNS))
    if has_points == has_boxes:
        raise InputError(
            f"{path}: row 1: found the header {','.join(header)!r}, expected either points, "
            f"seriesuid,{','.join(POINT_COLUMNS)}, or boxes, seriesuid,{','.join(BOX_COLUMNS)}: correct the header"
        )
    return BOX_COLUMNS if has_boxes else POINT_COLUMNS


def _check_box(path: Path, row: int, numbers: Sequence[float]) -> None:
    for axis, (low, high) in enumerate(zip(numbers[:3], numbers[3:], strict=True)):
        if low >= high:
            raise InputError(
                f"{path}: row {row}, columns {BOX_COLUMNS[axis]}, {BOX_COLUMNS[axis + 3]}: found {low:g}, {high:g}, "
                "expected the smaller first: correct the cells"
            )
        if high - low > LARGEST_DIAMETER_MM:
            raise InputError(
                f"{path}: row {row}, columns {BOX_COLUMNS[axis]}, {BOX_COLUMNS[axis + 3]}: found {low:g}, {high:g}, "
                f"expected at most {LARGEST_DIAMETER_MM:g} mm apart: correct the cells"
            )


def _lesions(columns: tuple[str, ...], numbers: Float[np.ndarray, "n columns"], sources: tuple[str, ...]) -> Lesions:
    if columns == BOX_COLUMNS:
        return Lesions.from_corners(numbers[:, :3], numbers[:, 3:], sources)
    return Lesions(numbers[:, :3], numbers[:, 3], sources)
