"""What a viewer knows a series by: its study, its frame of reference, its description, the instance of each slice."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from etils import epy

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief, printable
from medssl_jax.imaging.dicom.headers import LONGEST_REASON, quiet
from medssl_jax.imaging.dicom.series import Series

with epy.lazy_imports():
    import pydicom

FIELDS = ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "InstanceNumber")
DESCRIPTIONS = ("SeriesDescription", "StudyDescription")  # the first that is there
DATES = ("SeriesDate", "AcquisitionDate", "StudyDate")
# What the standard asks of every file, empty where it is not known (type 2); files made anonymous often lack it.
MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
)


class Instance(NamedTuple):
    """A slice: its SOPInstanceUID and its InstanceNumber, None where the file has none."""

    sop_instance_uid: str | None
    number: int | None


class SeriesReference(NamedTuple):
    """Study and frame of reference, None where the files have none, and the instances in the order of slices.

    `headers` are the whole headers, pydicom Datasets in that order, where they were asked for; they name the patient.
    Fields of `MAY_BE_EMPTY` that they lack are there, and empty. `description` and `date` (year-month-day) are what
    people call the series by, "" where the files do not say.
    """

    study_uid: str | None
    frame_of_reference_uid: str | None
    instances: tuple[Instance, ...]
    headers: tuple[Any, ...] = ()
    description: str = ""
    date: str = ""


def read_reference(series: Series, *, with_headers: bool = False) -> SeriesReference:
    """What is known of the slices of a series, read from their headers.

    Raises:
      InputError: a header is damaged; with headers, it lacks a UID, without which nothing can refer to the slice.
    """
    with quiet():
        fields = None if with_headers else [*FIELDS, *DESCRIPTIONS, *DATES]
        headers = tuple(_read(header.path, fields) for header in series.headers)
        instances = tuple(
            Instance(_text(of_file, "SOPInstanceUID"), _number(of_file))
            for of_file in zip((header.path for header in series.headers), headers, strict=True)
        )
        first = series.headers[0].path, headers[0]
        study_uid, frame_uid = (_text(first, field) for field in FIELDS[:2])
        description = next(filter(None, (_text(first, field) for field in DESCRIPTIONS)), "")
        dates = (re.fullmatch(r"(\d{4})(\d{2})(\d{2})", _text(first, field) or "") for field in DATES)
        date = next(("-".join(each.groups()) for each in dates if each), "")
    if with_headers:
        for header, read in zip(series.headers, headers, strict=True):
            for field in MAY_BE_EMPTY:
                if field not in read:
                    setattr(read, field, None)
            for field in (*FIELDS[:3], "SOPClassUID"):
                if not read.get(field):
                    raise InputError(
                        f"{header.path}: no {field}, which DICOM reports refer to: leave sr and seg out of --formats"
                    )
    kept = headers if with_headers else ()
    return SeriesReference(study_uid, frame_uid, instances, kept, printable(description), date)


def _read(path: Path, fields: list[str] | None) -> Any:
    try:
        return pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=fields)
    except Exception as error:  # whatever pydicom meets in a damaged file
        raise _damaged(path, error) from None


def _text(of_file: tuple[Path, Any], field: str) -> str | None:
    path, header = of_file
    try:
        return str(header.get(field) or "") or None
    except Exception as error:
        raise _damaged(path, error) from None


def _number(of_file: tuple[Path, Any]) -> int | None:
    path, header = of_file
    try:
        number = header.get("InstanceNumber")
        return None if number is None or number == "" else int(number)
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    reason = brief(error, most=LONGEST_REASON)
    return InputError(f"{path}: its UIDs, its number or its description cannot be read ({reason}): copy it again")
