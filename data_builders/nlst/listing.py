"""The series that the NBIA retriever's `metadata.csv` lists, compared with those on disk."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_builders.nlst.table import SeriesRow, with_problem
from medssl_jax.core.csv_files import check_new, read_table
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.patients import patient_key

LISTING_NAME = "metadata.csv"
COLUMNS = ("Series UID", "Study UID", "Subject ID", "Study Date", "Modality", "Number of Images", "File Location")


def read_listings(manual_dir: Path) -> dict[str, dict[str, Any]]:
    """The listed series by UID, each a dictionary by column; "Number of Images" is an int.

    Listings are looked for in `manual_dir` and its folders: the retriever puts one beside the collection's folder.

    Raises:
      InputError: a listing lacks a column, holds a number of images that is none, or names a series twice.
    """
    return {
        entry["Series UID"]: entry
        for path in (manual_dir / LISTING_NAME, *sorted(manual_dir.glob(f"*/{LISTING_NAME}")))
        if path.is_file()
        for entry in _read_listing(path)
    }


def with_listed(rows: Sequence[SeriesRow], listed: dict[str, dict[str, Any]]) -> tuple[SeriesRow, ...]:
    """The rows, with a problem where files of a series are missing, and a row for each series that is missing whole."""
    present = {row.series_uid for row in rows}
    checked = [_checked(row, listed) for row in rows]
    absent = [_absent_row(entry) for uid, entry in sorted(listed.items()) if uid not in present]
    return (*checked, *absent)


def _checked(row: SeriesRow, listed: Mapping[str, Mapping[str, Any]]) -> SeriesRow:
    entry = listed.get(row.series_uid)
    if entry is None or row.images >= entry["Number of Images"]:
        return row
    return with_problem(
        row,
        f"incomplete series: {row.images} of the {entry['Number of Images']} images that {LISTING_NAME} lists, "
        "download it again",
    )


def _absent_row(entry: Mapping[str, Any]) -> SeriesRow:
    return SeriesRow(
        series_uid=entry["Series UID"],
        study_uid=entry["Study UID"],
        patient=patient_key(entry["Subject ID"]),
        study_date=_date(entry["Study Date"]),
        folder=entry["File Location"].replace("\\", "/").removeprefix("./"),
        folder_mtime_ns=0,
        folder_files=0,
        images=0,
        problem=f"absent series: {LISTING_NAME} lists it with {entry['Number of Images']} images, none is on disk",
        header_problem="",
        modality=entry["Modality"],
    )


def _date(text: str) -> str:
    """DICOM's YYYYMMDD of the retriever's MM-DD-YYYY."""
    month, _, rest = text.partition("-")
    day, _, year = rest.partition("-")
    return f"{year}{month}{day}" if year else text


def _read_listing(path: Path) -> Iterator[dict[str, Any]]:
    row_of: dict[Hashable, int] = {}
    for number, cells in read_table(path, COLUMNS):
        entry: dict[str, Any] = dict(zip(COLUMNS, cells, strict=True))
        check_new(path, number, f"the same series {entry['Series UID']}", entry["Series UID"], row_of)
        if not re.fullmatch("[0-9]{1,9}", entry["Number of Images"]):
            raise InputError(
                f"{path}: row {number}: Number of Images is {entry['Number of Images']!r}, expected a number: "
                "mend it or take the file away"
            )
        yield entry | {"Number of Images": int(entry["Number of Images"])}
