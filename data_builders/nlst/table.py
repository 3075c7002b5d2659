"""The index: one row a series, kept as a Parquet table."""

import dataclasses
import hashlib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from etils import epy

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    import pyarrow
    from pyarrow import parquet

INDEX_VERSION = "3"  # raise it when a column, or what its values mean, changes: older tables are then made anew


@dataclasses.dataclass(frozen=True, slots=True)
class SeriesRow:
    """The headers of one series; fields they lack are "" or None.

    `folder` is relative to the data's own; a series whose files are not in one place has a row for each. `problem` is
    "" for a usable CT, else sentences that each begin with the problem's name, joined by "; "; `header_problem` is the
    part of it that the folder's own headers show. Files that belong to no series make a row without a `series_uid`.
    """

    series_uid: str
    study_uid: str
    patient: str  # by its key
    study_date: str  # YYYYMMDD
    folder: str
    folder_mtime_ns: int
    folder_files: int
    images: int
    problem: str
    header_problem: str
    modality: str = ""
    manufacturer: str = ""
    kernel: str = ""  # several values are joined by a backslash, as DICOM writes them
    image_type: str = ""
    slice_thickness_mm: float | None = None
    slice_distance_mm: float | None = None  # measured, from one slice to the next
    spacing_y_mm: float | None = None
    spacing_x_mm: float | None = None
    rows: int | None = None
    columns: int | None = None
    is_axial: bool = False
    gantry_tilt_deg: float | None = None
    transfer_syntax: str = ""  # all that occur, by name, joined by ", "
    rescale: str = ""  # all pairs of slope and intercept that occur: "1 -1024"
    padding_value: int | None = None  # as stored, before slope and intercept


def with_problem(row: SeriesRow, problem: str) -> SeriesRow:
    """The row with one more problem, which its headers do not show."""
    return dataclasses.replace(row, problem=f"{row.problem}; {problem}" if row.problem else problem)


def write_table(path: Path, rows: Iterable[SeriesRow]) -> None:
    """Writes rows as Parquet, whole or not at all, with their checksum."""
    rows = tuple(rows)
    columns = {
        name: pyarrow.array([getattr(row, name) for row in rows], kind) for name, kind in _column_types().items()
    }
    metadata = {"medssl_index": INDEX_VERSION, "sha256": _sha256(rows)}
    table = pyarrow.table(columns).replace_schema_metadata(metadata)
    with atomic_path(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_table(path: Path) -> list[SeriesRow]:
    """The rows of a table; none where there is no table, or one of another version.

    Raises `InputError` where it is damaged.
    """
    try:
        table = parquet.read_table(path, page_checksum_verification=True)
        metadata = table.schema.metadata or {}
        if metadata.get(b"medssl_index") != INDEX_VERSION.encode():
            return []
        # By batches: all values as Python's own at once would take twice the memory.
        rows = [
            SeriesRow(*values)
            for batch in table.select(list(_column_types())).to_batches(max_chunksize=4096)
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        ]
    except FileNotFoundError:
        return []
    except (OSError, pyarrow.ArrowException, KeyError) as error:  # a KeyError where it lacks a column
        raise InputError(f"{path}: cannot be read as a Parquet table ({error}): remove it and start again") from None
    if _sha256(rows).encode() != metadata.get(b"sha256"):
        raise InputError(f"{path}: damaged, its rows are not those that were written: remove it and start again")
    return rows


def _sha256(rows: Iterable[SeriesRow]) -> str:
    # The checksums of Parquet's pages leave out what says how to read them.
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _column_types() -> dict[str, Any]:
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    hints = typing.get_type_hints(SeriesRow)
    return {field.name: kinds[_without_none(hints[field.name])] for field in dataclasses.fields(SeriesRow)}


def _without_none(hint: Any) -> Any:
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint
