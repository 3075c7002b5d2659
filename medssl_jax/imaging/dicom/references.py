"""What a viewer knows a series by: its study, its frame of reference, the instance of each slice."""

from pathlib import Path
from typing import Any, NamedTuple

from etils import epy

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief
from medssl_jax.imaging.dicom.headers import LONGEST_REASON, quiet
from medssl_jax.imaging.dicom.series import Series

with epy.lazy_imports():
    import pydicom

FIELDS = ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "InstanceNumber")


class Instance(NamedTuple):
    """A slice: its SOPInstanceUID and its InstanceNumber, None where the file has none."""

    sop_instance_uid: str | None
    number: int | None


class SeriesReference(NamedTuple):
    """Study and frame of reference, None where the files have none, and the instances in the order of slices."""

    study_uid: str | None
    frame_of_reference_uid: str | None
    instances: tuple[Instance, ...]


def read_reference(series: Series) -> SeriesReference:
    """What is known of the slices of a series, read from their headers. Raises `InputError` where one is damaged."""
    with quiet():
        fields = [_read(header.path) for header in series.headers]
    return SeriesReference(
        fields[0]["StudyInstanceUID"],
        fields[0]["FrameOfReferenceUID"],
        tuple(Instance(each["SOPInstanceUID"], each["InstanceNumber"]) for each in fields),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(FIELDS))
        uids = {field: str(header.get(field) or "") or None for field in FIELDS[:-1]}
        number = header.get("InstanceNumber")
        return {**uids, "InstanceNumber": None if number is None else int(number)}
    except Exception as error:  # whatever pydicom meets in a damaged file
        reason = brief(error, most=LONGEST_REASON)
        raise InputError(f"{path}: its UIDs or its number cannot be read ({reason}): copy it again") from None
