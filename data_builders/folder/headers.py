"""The headers of scans, read without their voxels: series UID, patient and grid."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_builders.folder.remembered import remembered
from data_builders.folder.tree import PassedOver, name_of, visible_files
from medssl_jax.core.errors import InputError
from medssl_jax.core.file_sample import size_and_samples
from medssl_jax.imaging.dicom.headers import Header
from medssl_jax.imaging.dicom.series import LOCALIZER_MOST_IMAGES, FoundSeries, check_apart, find_series
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import read_grid, read_header


@dataclasses.dataclass(frozen=True)
class ScanHeader:
    """`path` is a volume file or the folder of a DICOM series; `patient` is the key of DICOM's PatientID, or "".

    `digest` changes with the header. Of the voxels only each file's size and samples of it count.
    """

    path: Path
    series_uid: str
    patient: str
    grid: Grid
    digest: str


def read_scan_headers(path: Path, index_dir: Path | None) -> list[ScanHeader | PassedOver]:
    """The scan in a volume file, or all CT series in a folder of DICOM files; those are remembered in `index_dir`.

    Localizers, series of at most five images and other modalities are passed over.

    Raises:
      InputError: as `read_volume`, but for the voxels.
    """
    if not path.is_dir():
        return [read_file_header(path)]
    known = remembered(index_dir, "series", visible_files(path), lambda: _read_dicom_folder(path))
    scans = (ScanHeader(path, **(each | {"grid": _grid_from_json(each["grid"])})) for each in known["scans"])
    return [*scans, *(PassedOver(path, reason) for reason in known["passed_over"])]


def read_file_header(path: Path) -> ScanHeader:
    """The header of a volume file."""
    grid = read_grid(path)
    return ScanHeader(path, name_of(path), "", grid, digest_of(volume_files(path), grid))


def volume_files(path: Path) -> tuple[Path, ...]:
    """The file itself, and that with its voxels, such as the .raw of a .mhd; `InputError` where that is not whole."""
    return tuple(dict.fromkeys((path, read_header(path).voxels.path)))


def digest_of(files: Sequence[Path], grid: Grid, values: str = "") -> str:
    """A hash of the grid, of what headers say, and of each file's size and samples of it."""
    digest = hashlib.sha256(f"{grid!r} {values}".encode())
    for path in files:
        digest.update(size_and_samples(path))
    return digest.hexdigest()


def header_values(headers: Sequence[Header]) -> str:
    """All that the headers of slices say, as one text."""
    return repr([sorted(header.values.items()) for header in headers])


def _grid_from_json(fields: dict[str, Any]) -> Grid:
    return Grid(**{name: tuple(value) for name, value in fields.items()})


def _read_dicom_folder(folder: Path) -> dict[str, Any]:
    found, unreadable = find_series(folder)
    if unreadable:
        raise InputError(f"{folder}: {unreadable[0]}")
    scans: list[dict[str, Any]] = []
    passed_over: list[str] = []
    for series in found:
        if reason := _no_scan(series):
            for other in found:
                if not _no_scan(other):
                    check_apart(folder, series, other)
            passed_over.append(reason)
            continue
        if series.grid is None:
            raise InputError(f"{folder}: {series.problems[0]} (series {series.series_uid})")
        scans.append(
            {
                "series_uid": series.series_uid,
                "patient": series.headers[0].get("PatientID") or "",
                "grid": dataclasses.asdict(series.grid),
                "digest": digest_of(
                    [header.path for header in series.headers], series.grid, header_values(series.headers)
                ),
            }
        )
    return {"scans": scans, "passed_over": passed_over}


def _no_scan(series: FoundSeries) -> str:
    """The kind of a series that is no CT scan, in words; "" where it is one, or should be."""
    modality = series.headers[0].get("Modality")
    if modality not in ("CT", None):
        return f"DICOM, {modality} and not CT"
    if any(problem.startswith("localizer") for problem in series.problems):
        return "DICOM localizer"
    is_one_file_a_scan = any(problem.startswith("several frames") for problem in series.problems)
    if len(series.headers) <= LOCALIZER_MOST_IMAGES and not is_one_file_a_scan:
        return f"DICOM series of at most {LOCALIZER_MOST_IMAGES} images, taken for a localizer"
    return ""
