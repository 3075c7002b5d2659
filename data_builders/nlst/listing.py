"""The series that the NBIA retriever's `metadata.csv` lists, compared with those on disk."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_builders.nlst.table import SeriesRow, with_problem
from medssl_jax.core.csv_files import check_new, read_table
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.patients import patient_key

LISTING_NAME = "metadata.csv"
COLUMNS = ("Series UID", "Study UID", "Subject ID", "Study Date", "Modality", "Number of Images", "File Location")


class Listed(NamedTuple):
    """A series that is listed: how many images it has, and its row where none of them is on disk."""

    images: int
    absent: SeriesRow


def read_listings(manual_dir: Path) -> dict[str, Listed]:
    """The listed series by UID.

    Listings are looked for in `manual_dir` and its folders: the retriever puts one beside the collection's folder.

    Raises:
      InputError: a listing lacks a column, holds a number of images that is none, or names a series twice.
    """
    return {
        listed.absent.series_uid: listed
        for path in (manual_dir / LISTING_NAME, *sorted(manual_dir.glob(f"*/{LISTING_NAME}")))
        if path.is_file()
        for listed in _read_listing(path)
    }


def with_listed(rows: Sequence[SeriesRow], listed: Mapping[str, Listed]) -> tuple[SeriesRow, ...]:
    """The rows, with a problem where files of a series are missing, and a row for each series that is missing whole."""
    present = {row.series_uid for row in rows}
    absent = (of_series.absent for uid, of_series in sorted(listed.items()) if uid not in present)
    return (*(_checked(row, listed.get(row.series_uid)) for row in rows), *absent)


def _checked(row: SeriesRow, listed: Listed | None) -> SeriesRow:
    if listed is None or row.images >= listed.images:
        return row
    images = f"{row.images} of the {listed.images} images that {LISTING_NAME} lists"
    return with_problem(row, f"incomplete series: {images}, download it again")


def _read_listing(path: Path) -> Iterator[Listed]:
    row_of: dict[Hashable, int] = {}
    for number, (series_uid, study_uid, patient, date, modality, images, place) in read_table(path, COLUMNS):
        check_new(path, number, f"the same series {series_uid!r}", series_uid, row_of)
        if not re.fullmatch("[0-9]{1,9}", images):
            raise InputError(
                f"{path}: row {number}: Number of Images is {images!r}, expected a number: mend it, or take the file "
                "away"
            )
        absent = SeriesRow(
            series_uid=series_uid,
            study_uid=study_uid,
            patient=patient_key(patient),
            study_date=_date(date),
            folder=place.replace("\\", "/").removeprefix("./"),
            folder_mtime_ns=0,
            folder_files=0,
            images=0,
            problem=f"absent series: {LISTING_NAME} lists it with {int(images)} images, none is on disk",
            header_problem="",
            modality=modality,
        )
        yield Listed(int(images), absent)


def _date(text: str) -> str:
    """DICOM's YYYYMMDD of the retriever's MM-DD-YYYY."""
    month, _, rest = text.partition("-")
    day, _, year = rest.partition("-")
    return f"{year}{month}{day}" if year else text
