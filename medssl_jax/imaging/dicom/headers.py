"""Headers of DICOM files: the few fields that decide whether a CT can be read, without pixels.

pydicom's warnings about values that bend the standard are kept from the user: what is used is checked by its readers.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etils import epy

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief, printable
from medssl_jax.imaging.dicom.fragments import (
    BIG_ENDIAN,
    FLOAT_PIXELS,
    IMPLICIT,
    Fragment,
    NotDicomError,
    Opened,
    find_fragments,
    open_dicom,
)
from medssl_jax.imaging.patients import patient_key

with epy.lazy_imports():
    import pydicom
    from pydicom import config, dataelem, filereader

FIELDS = (
    *("ImageType", "StudyDate", "Modality", "Manufacturer", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("SliceThickness", "GantryDetectorTilt", "ConvolutionKernel", "ImagePositionPatient", "ImageOrientationPatient"),
    *("NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
    *("RescaleIntercept", "RescaleSlope"),
)
# What lies beside slices in downloads and exports.
NOT_DICOM = frozenset(
    f".{extension}"
    for extension in (
        *("csv", "json", "log", "md", "pdf", "s5cmd", "tcia", "tsv", "txt", "xlsx", "xml", "html", "parquet", "zip"),
        *("jpeg", "jpg", "png", "mha", "mhd", "raw", "zraw", "nii", "gz", "nrrd", "npy"),
    )
)
LARGEST_NUMBER = 2**63 - 1  # an index keeps no larger one
LONGEST_REASON = 120  # pydicom tells the bytes that it was given
_quiet_lock = threading.Lock()


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The fields of one file by DICOM keyword, numbers as int and float, several values as a tuple; empty ones absent.

    `TransferSyntaxUID` is among them. Of PatientID there is its `patient_key` only. Text is taken as Latin-1: other
    letters come out wrong, but always the same.
    `fragments` are where the pixels lie; where none are found, `damage` says why, after the problem's name.
    """

    path: Path
    values: dict[str, Any]
    fragments: tuple[Fragment, ...]
    damage: str

    @property
    def name(self) -> str:
        """The name of the file, as it can be shown."""
        return printable(self.path.name)

    def get(self, keyword: str) -> Any:
        """The value, None where the file has none."""
        return self.values.get(keyword)


def read_headers(folder: Path) -> tuple[list[Header], list[str]]:
    """The headers of a folder's DICOM files that belong to a series, by file name; and what is wrong with the others.

    Files of other kinds are passed over, unless they are named `.dcm`.
    """
    headers, problems = [], []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if could_be_dicom(entry.name) and entry.is_file())
    with quiet():
        for name in names:
            try:
                header = _read_header(folder / name)
            except InputError as error:
                problems.append(str(error))
                continue
            if header is not None:
                headers.append(header)
    return headers, problems


def could_be_dicom(name: str) -> bool:
    """True where a file of that name may be DICOM; most have no extension or any."""
    # Hidden files named like slices are what macOS leaves on foreign disks.
    return not name.startswith(".") and name[name.rfind(".") :].lower() not in NOT_DICOM


def _read_header(path: Path) -> Header | None:
    """None where the file is not DICOM or lists others, as a DICOMDIR does; `InputError` does not name the folder."""
    try:
        opened = open_dicom(path)
        with opened.stream:
            dataset = _read_dataset(opened)
            fragments, damage = _fragments(opened)
    except NotDicomError:
        if path.suffix.lower() == ".dcm":
            raise InputError(f"not DICOM: {path.name} is not a DICOM file, though named so: copy it again") from None
        return None
    except InputError as error:
        raise InputError(f"unreadable header: {path.name} {error}: copy it, or export it again") from None
    except Exception as error:
        reason = brief(error, most=LONGEST_REASON)
        raise InputError(
            f"unreadable header: the DICOM header of {path.name} cannot be read ({reason}): copy it again"
        ) from None
    values: dict[str, Any] = {"TransferSyntaxUID": opened.transfer_syntax}
    for element in dataset.elements():
        keyword = _tags().get(element.tag)
        if keyword is None:  # pydicom reads the character set unasked
            continue
        try:
            value = _value(element)
            if keyword == "PatientID":
                value = patient_key(joined(value))
        except Exception as error:
            # The reason may hold the value.
            reason = "" if keyword == "PatientID" else f" ({brief(error, most=LONGEST_REASON)})"
            raise InputError(f"unreadable header: {keyword} of {path.name} cannot be read{reason}") from None
        if value is not None and value != "" and value != ():
            values[keyword] = value
    if "SeriesInstanceUID" not in values:
        if opened.meta.get("MediaStorageSOPClassUID") == pydicom.uid.MediaStorageDirectoryStorage:
            return None
        raise InputError(f"unreadable header: no SeriesInstanceUID in that of {path.name}: copy it again")
    return Header(path, values, fragments, damage)


def _read_dataset(opened: Opened) -> Any:
    return filereader.read_dataset(
        opened.stream,
        opened.transfer_syntax == IMPLICIT,
        opened.transfer_syntax != BIG_ENDIAN,
        stop_when=lambda tag, vr, length: tag >= FLOAT_PIXELS,
        specific_tags=list(_tags()),
    )


def _fragments(opened: Opened) -> tuple[tuple[Fragment, ...], str]:
    try:
        return find_fragments(opened), ""
    except InputError as error:
        return (), str(error)


@functools.cache
def _tags() -> dict[Any, str]:
    return {pydicom.tag.Tag(keyword): keyword for keyword in FIELDS}


def _value(element: Any) -> Any:
    if not element.is_raw:
        return _plain(element.value)
    return _converted(element.tag, element.VR, element.value, element.is_implicit_VR, element.is_little_endian)


@functools.lru_cache(maxsize=4096)  # a third of the time: the slices of a series differ in little but their place
def _converted(tag: Any, vr: str | None, value: bytes | None, is_implicit: bool, is_little_endian: bool) -> Any:
    raw = dataelem.RawDataElement(tag, vr, len(value or b""), value, 0, is_implicit, is_little_endian)
    element = dataelem.convert_raw_data_element(raw)
    if element.VR in ("DS", "IS") and b"_" in (value or b""):  # Python takes 1_0 for 10
        raise ValueError("a number with an underscore")
    return _plain(element.value)


def _plain(value: Any) -> Any:
    """pydicom's value as Python's own: its own kinds of number are slow to compare and cannot be hashed."""
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise ValueError(f"a number of {value.bit_length()} bits")
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, bytes):  # "US or SS": which of the two, another field says
        if len(value) > 2:
            raise ValueError(f"{len(value)} bytes, expected a number")
        return int.from_bytes(value, "little", signed=False)
    return None if value is None else tuple(_plain(each) for each in value)


def joined(value: Any) -> str:
    """A value as one text; several are joined by a backslash, as DICOM writes them."""
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    return "\\".join(str(each).strip() for each in values)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps pydicom's warnings to itself while the context lasts; of several threads one at a time."""
    logger = logging.getLogger("pydicom")
    # Both the filters and pydicom's settings belong to the whole process; threads must leave them as they were.
    with _quiet_lock, warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
