"""Which files of a folder are the slices of one CT, in which order, and where they lie; from DICOM headers alone."""

import collections
import dataclasses
from pathlib import Path

import numpy as np

from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid

LOCALIZER_MOST_IMAGES = 5  # an NLST study holds localizers of up to five images beside its reconstructions
DUPLICATE_DISTANCE_MM = 0.01
STEP_TOLERANCE = 0.1  # of the slice distance
NEEDED = (
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
)


@dataclasses.dataclass(frozen=True)
class Series:
    """The slice files of one CT, lowest along the slice normal first, and the grid they make."""

    series_uid: str
    files: tuple[Path, ...]
    grid: Grid


def read_series(folder: Path) -> Series:
    """Finds the CT series in `folder` and sorts its slices by ImagePositionPatient along the slice normal.

    Localizers and other series of at most five images are left out where there is one longer series.

    Raises:
      InputError: no DICOM file; several series; not CT; a needed field absent; slices of differing size, spacing or
        orientation; two slices at one place; a slice missing; a tilted gantry.
    """
    headers = _longest_series(folder, _headers(folder))
    first = headers[0]
    if len(headers) < 2:
        raise InputError(f"{folder}: 1 DICOM slice, expected a series of at least 2")
    for header in headers:
        _check_header(header, first)
    row_axis, column_axis = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(row_axis, column_axis)
    headers = sorted(headers, key=lambda header: _position(header) @ normal)
    positions = np.array([_position(header) for header in headers])
    slice_distance_mm = _slice_distance(folder, headers, positions @ normal)
    spacing_y_mm, spacing_x_mm = map(float, first.PixelSpacing)
    travel = positions[-1] - positions[0]
    shift_mm = float(np.linalg.norm(travel - (travel @ normal) * normal))
    if shift_mm > max(spacing_y_mm, spacing_x_mm) / 2:
        raise InputError(
            f"{folder}: slices shift by {shift_mm:.2f} mm sideways (tilted gantry), expected a straight stack"
        )
    try:
        grid = Grid(
            (len(headers), int(first.Rows), int(first.Columns)),
            (slice_distance_mm, spacing_y_mm, spacing_x_mm),
            tuple(positions[0].tolist()),
            tuple(np.stack([row_axis, column_axis, normal], axis=1).ravel().tolist()),
        )
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    return Series(str(first.SeriesInstanceUID), tuple(Path(header.filename) for header in headers), grid)


def _headers(folder):
    import pydicom

    headers = []
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*NEEDED, "NumberOfFrames"])
        except pydicom.errors.InvalidDicomError:
            if path.suffix.lower() == ".dcm":
                raise InputError(f"{path}: not a DICOM file, though named so: copy it again") from None
            continue  # licence texts and annotation files lie beside the slices
        except Exception as error:
            raise InputError(f"{path}: its DICOM header cannot be read ({error}): copy it again") from None
        if "SeriesInstanceUID" in header:  # a DICOMDIR has none
            headers.append(header)
    if not headers:
        raise InputError(f"{folder}: no DICOM slices in this folder, expected those of one CT series")
    return headers


def _longest_series(folder, headers):
    by_uid = collections.defaultdict(list)
    for header in headers:
        by_uid[str(header.SeriesInstanceUID)].append(header)
    if len(by_uid) == 1:
        return headers
    longer = [series for series in by_uid.values() if len(series) > LOCALIZER_MOST_IMAGES]
    if len(longer) != 1:
        found = ", ".join(f"{uid} ({len(series)} images)" for uid, series in by_uid.items())
        raise InputError(f"{folder}: {len(by_uid)} series, expected one: {found}: put each in a folder of its own")
    return longer[0]


def _check_header(header, first):
    for name in NEEDED:
        if header.get(name) is None:
            raise InputError(f"{header.filename}: no {name} in its DICOM header, expected a CT slice")
    if header.Modality != "CT":
        raise InputError(f"{header.filename}: Modality is {header.Modality}, expected CT")
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise InputError(f"{header.filename}: {header.NumberOfFrames} frames in one file, expected one slice a file")
    for name in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
        here, there = (np.atleast_1d(np.array(each.get(name), float)) for each in (header, first))
        if here.shape != there.shape or not np.allclose(here, there, rtol=0, atol=1e-4):
            raise InputError(
                f"{header.filename}: {name} is {header.get(name)}, the series' other slices have {first.get(name)}"
            )
    if len(header.ImagePositionPatient) != 3 or not np.isfinite(_position(header)).all():
        raise InputError(
            f"{header.filename}: ImagePositionPatient is {header.ImagePositionPatient}, expected x, y, z mm"
        )


def _position(header):
    return np.array(header.ImagePositionPatient, float)


def _slice_distance(folder, headers, heights_mm):
    steps_mm = np.diff(heights_mm)
    names = [Path(header.filename).name for header in headers]
    for index in np.flatnonzero(steps_mm < DUPLICATE_DISTANCE_MM):
        raise InputError(
            f"{folder}: {names[index]} and {names[index + 1]} lie at the same place "
            f"({heights_mm[index]:.2f} mm): remove the duplicate"
        )
    usual_mm = float(np.median(steps_mm))
    for index in np.flatnonzero(np.abs(steps_mm - usual_mm) > STEP_TOLERANCE * usual_mm):
        raise InputError(
            f"{folder}: {steps_mm[index]:.2f} mm between {names[index]} and {names[index + 1]}, "
            f"{usual_mm:.2f} mm elsewhere: a slice is missing or does not belong"
        )
    return float(np.mean(steps_mm))
