"""Which files of a folder are the slices of one CT, in which order, and where they lie; from DICOM headers alone.

What is wrong with a series is a sentence that begins with the problem's name: `slice missing: 5.00 mm between ...`.
"""

import collections
import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from medssl_jax.dicom_headers import DEFLATED, Header, read_headers
from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid

LOCALIZER_MOST_IMAGES = 5  # an NLST study holds localizers of up to five images beside its reconstructions
DUPLICATE_DISTANCE_MM = 0.01
STEP_TOLERANCE = 0.1  # of the slice distance
SAME = 1e-4  # in spacing and orientation, between slices
COUNT_OF_NUMBERS = {
    "Rows": 1,
    "Columns": 1,
    "PixelSpacing": 2,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
    "BitsAllocated": 1,
}
BITS_ALLOCATED = (8, 16, 32)
SHARED_FIELDS = {
    "Rows": "mixed size",
    "Columns": "mixed size",
    "PixelSpacing": "mixed spacing",
    "ImageOrientationPatient": "mixed orientation",
    "PatientID": "mixed patients",
    "StudyInstanceUID": "mixed studies",
}
# A file's HU are decoded from these.
SCALING_FIELDS = ("RescaleSlope", "RescaleIntercept", "PixelRepresentation", "BitsAllocated")
TAG_BYTES = 8  # at least, before the pixels
# A series may unpack to this many bytes for each of its own, and any to a gigabyte: what a header claims costs nothing.
LARGEST_RATIO, ALWAYS_ALLOWED_BYTES = 200, 1 << 30
UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED)
SIMPLEITK_READS = frozenset(
    (
        *UNCOMPRESSED,
        "1.2.840.10008.1.2.4.50",  # JPEG baseline, extended, lossless
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",  # JPEG-LS
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.90",  # JPEG 2000
        "1.2.840.10008.1.2.4.91",
        "1.2.840.10008.1.2.5",  # run lengths
    )
)


@dataclasses.dataclass(frozen=True)
class Series:
    """The slice files of one CT, lowest along the slice normal first, and the grid they make.

    `is_mixed` where slices differ in slope, intercept or the kind of number that is stored.
    """

    series_uid: str
    files: tuple[Path, ...]
    grid: Grid
    is_mixed: bool


@dataclasses.dataclass(frozen=True)
class FoundSeries:
    """A series as its headers show it, be it a CT or not; `grid` is None where there are problems.

    `headers` are sorted along the slice normal where they tell it, else by file name. `slice_distance_mm` is the usual
    one, nan where the headers tell none.
    """

    series_uid: str
    headers: tuple[Header, ...]
    slice_distance_mm: float
    grid: Grid | None
    problems: tuple[str, ...]


def read_series(folder: Path, series_uid: str | None = None) -> Series:
    """Finds the CT series in `folder` and sorts its slices by ImagePositionPatient along the slice normal.

    Without a `series_uid`, localizers and other series of at most five images are left out where there is one longer
    series, unless their images could be slices of that one.

    Raises:
      InputError: no DICOM file; not this series, or several; slices that another series seems to lack; or the first of
        `find_series`'s problems.
    """
    found, unreadable = find_series(folder)
    if unreadable:
        raise InputError(f"{folder}: {unreadable[0]}")
    series = _wanted(folder, found, series_uid)
    if series.grid is None:
        raise InputError(f"{folder}: {series.problems[0]}")
    return Series(
        series.series_uid, tuple(header.path for header in series.headers), series.grid, is_mixed(series.headers)
    )


def find_series(folder: Path) -> tuple[tuple[FoundSeries, ...], tuple[str, ...]]:
    """All series of one folder, its subfolders left out, and what is wrong with files that belong to none.

    Problems are: not CT; localizer; a field missing or without sense; several frames in a file; grey values of another
    kind; slices of differing size, spacing, orientation, patient or study; a single slice; two slices at one place; a
    slice missing; a tilted gantry; a compression that SimpleITK cannot read; a truncated file; more voxels than its
    files can hold.
    """
    headers, unreadable = read_headers(folder)
    by_uid = collections.defaultdict(list)
    for header in headers:
        by_uid[str(header.get("SeriesInstanceUID"))].append(header)
    return tuple(_found_series(uid, of_series) for uid, of_series in by_uid.items()), tuple(unreadable)


def is_mixed(headers: Sequence[Header]) -> bool:
    """Whether slices differ in slope, intercept or the kind of number that is stored."""
    return len({tuple(map(header.get, SCALING_FIELDS)) for header in headers}) > 1


def _wanted(folder, found, series_uid):
    if series_uid is not None:
        for series in found:
            if series.series_uid == series_uid:
                return series
        raise InputError(f"{folder}: no DICOM slices of series {series_uid} in this folder")
    if not found:
        raise InputError(f"{folder}: no DICOM slices in this folder, expected those of one CT series")
    if len(found) == 1:
        return found[0]
    longer = [series for series in found if len(series.headers) > LOCALIZER_MOST_IMAGES]
    if len(longer) != 1:
        listed = ", ".join(f"{series.series_uid} ({len(series.headers)} images)" for series in found)
        raise InputError(f"{folder}: {len(found)} series, expected one: {listed}: put each in a folder of its own")
    for other in found:
        if other is not longer[0] and _could_belong(other.headers[0], longer[0].headers[0]):
            names = _some([header.path.name for header in other.headers])
            raise InputError(
                f"{folder}: {names} is of series {other.series_uid}, but looks like a slice of series "
                f"{longer[0].series_uid}: correct its SeriesInstanceUID, or put it in a folder of its own"
            )
    return longer[0]


def _could_belong(header, other):
    """Whether a slice has the shape and direction of those of another series, as no localizer has."""
    if "LOCALIZER" in _texts(header.get("ImageType")):
        return False
    fields = ("Modality", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient")
    return all(header.get(field) is not None and _is_same(header.get(field), other.get(field)) for field in fields)


def _found_series(series_uid, headers):
    problems = list(_field_problems(headers))
    slice_distance_mm, grid = math.nan, None
    if not problems:
        headers, slice_distance_mm, grid, problems = _stack(headers)
    # These say nothing about where the slices lie.
    problems += _pixel_problems(headers)
    return FoundSeries(
        series_uid, tuple(headers), slice_distance_mm, None if problems else grid, tuple(dict.fromkeys(problems))
    )


def _field_problems(headers) -> Iterator[str]:
    for modality, names in _names_by_value(headers, "Modality").items():
        if modality != "CT":
            yield f"not CT: Modality is {modality}, expected CT, in {_some(names)}"
            return
    scouts = [header.path.name for header in headers if "LOCALIZER" in _texts(header.get("ImageType"))]
    if scouts:
        yield f"localizer: {_some(scouts)} is one by its ImageType, expected slices"
        return
    for frames, names in _names_by_value(headers, "NumberOfFrames").items():
        if frames not in (None, 1):
            yield f"several frames: {_some(names)} holds {frames} frames, expected one slice a file"
            return
    for kind, names in _names_by_value(headers, "PhotometricInterpretation").items():
        if kind not in (None, "MONOCHROME2"):
            yield (
                f"grey values: PhotometricInterpretation is {kind} in {_some(names)}, expected MONOCHROME2: export the "
                "series again so"
            )
    wrong = set()
    for field, count in COUNT_OF_NUMBERS.items():
        for value, names in _names_by_value(headers, field).items():
            if value is None:
                yield f"field missing: no {field} in the header of {_some(names)}, expected a CT slice"
                wrong.add(field)
            elif expected := _unmet(field, value, count):
                yield f"field without sense: {field} is {value} in {_some(names)}, expected {expected}"
                wrong.add(field)
    for field, problem in SHARED_FIELDS.items():
        if field in wrong:
            continue
        names_by_value = _names_by_value(headers, field)
        usual = max(names_by_value, key=lambda value: len(names_by_value[value]))
        for value, names in names_by_value.items():
            if not _is_same(value, usual):
                yield f"{problem}: {field} is {value} in {_some(names)}, the series' other slices have {usual}"
                break


def _pixel_problems(headers) -> Iterator[str]:
    from pydicom.uid import UID

    for syntax, names in _names_by_value(headers, "TransferSyntaxUID").items():
        if syntax not in SIMPLEITK_READS:
            kind = UID(syntax).name or "no TransferSyntaxUID"
            yield f"compression: SimpleITK cannot read {_some(names)} ({kind}): decompress it"
    short = [header for header in headers if header.get("TransferSyntaxUID") in UNCOMPRESSED and _is_truncated(header)]
    if short:
        size = f"{short[0].get('Rows')} x {short[0].get('Columns')}"
        yield (
            f"truncated file: {_some([header.path.name for header in short])} has {short[0].bytes_after} bytes "
            f"after its header, too few for {size} voxels: copy it again"
        )
    held = sum(header.bytes_after for header in headers)
    claimed = sum(_pixel_bytes(header) or 0 for header in headers)
    if claimed > max(ALWAYS_ALLOWED_BYTES, LARGEST_RATIO * held):
        yield (
            f"too many voxels: {_some([header.path.name for header in headers])} claims voxels of {claimed / 1e9:.1f} "
            f"GB in {held} bytes of data: copy or export it again"
        )


def _stack(headers):
    """Sorts slices along their normal: the headers, the usual distance, the grid, and the problems of the stack."""
    if len(headers) < 2:
        return headers, math.nan, None, ["single slice: 1 DICOM slice, expected a series of at least 2"]
    row_axis, column_axis = np.array(headers[0].get("ImageOrientationPatient"), float).reshape(2, 3)
    normal = np.cross(row_axis, column_axis)
    headers = sorted(headers, key=lambda header: np.array(header.get("ImagePositionPatient"), float) @ normal)
    positions = np.array([header.get("ImagePositionPatient") for header in headers], float)
    heights_mm = positions @ normal
    steps_mm = np.diff(heights_mm)
    apart_mm = steps_mm[steps_mm >= DUPLICATE_DISTANCE_MM]
    usual_mm = float(np.median(apart_mm)) if len(apart_mm) else math.nan
    spacing_y_mm, spacing_x_mm = headers[0].get("PixelSpacing")
    problems = list(_step_problems([header.path.name for header in headers], heights_mm, steps_mm, usual_mm))
    travel = positions - positions[0]
    shift_mm = float(np.linalg.norm(travel - np.outer(travel @ normal, normal), axis=1).max())
    if shift_mm > max(spacing_y_mm, spacing_x_mm) / 2:
        problems.append(f"tilted gantry: slices shift by {shift_mm:.2f} mm sideways, expected a straight stack")
    if problems:
        return headers, usual_mm, None, problems
    try:
        grid = Grid(
            (len(headers), headers[0].get("Rows"), headers[0].get("Columns")),
            (float(np.mean(steps_mm)), spacing_y_mm, spacing_x_mm),
            tuple(positions[0].tolist()),
            tuple(np.stack([row_axis, column_axis, normal], axis=1).ravel().tolist()),
        )
    except InputError as error:
        return headers, usual_mm, None, [f"field without sense: {error}"]
    return headers, usual_mm, grid, []


def _step_problems(names, heights_mm, steps_mm, usual_mm) -> Iterator[str]:
    doubled = np.flatnonzero(steps_mm < DUPLICATE_DISTANCE_MM)
    if len(doubled):
        at = doubled[0]
        yield (
            f"duplicate slice: {names[at]} and {names[at + 1]} lie at the same place ({heights_mm[at]:.2f} mm)"
            f"{_others(len(doubled) - 1)}: remove the duplicate"
        )
    apart = steps_mm >= DUPLICATE_DISTANCE_MM
    uneven = np.flatnonzero(apart & (np.abs(steps_mm - usual_mm) > STEP_TOLERANCE * usual_mm))
    if len(uneven):
        at = uneven[0]
        yield (
            f"slice missing: {steps_mm[at]:.2f} mm between {names[at]} and {names[at + 1]}, {usual_mm:.2f} mm elsewhere"
            f"{_others(len(uneven) - 1)}: a slice is missing or does not belong"
        )


def _is_truncated(header):
    needed = _pixel_bytes(header)
    before = 0 if header.get("TransferSyntaxUID") == DEFLATED else TAG_BYTES
    return needed is not None and header.bytes_after - before < needed


def _pixel_bytes(header):
    """What the pixels take, decompressed; None where the header does not tell."""
    numbers = [header.get(field) for field in ("Rows", "Columns", "BitsAllocated")]
    return math.prod(numbers) // 8 if all(isinstance(each, int) for each in numbers) else None


def _unmet(field, value, count):
    """What was expected of a field's numbers; None where they are that."""
    if not _is_numbers(value, count):
        return f"{count} finite numbers"
    if field == "RescaleSlope" and value == 0:
        return "another than 0"
    if field == "BitsAllocated" and value not in BITS_ALLOCATED:
        return f"one of {BITS_ALLOCATED}"
    if field in ("Rows", "Columns") and not isinstance(value, int):
        return "a whole number"
    return None


def _is_numbers(value, count):
    values = value if isinstance(value, tuple) else (value,)
    return len(values) == count and all(isinstance(each, int | float) and math.isfinite(each) for each in values)


def _is_same(value, other):
    count = len(value) if isinstance(value, tuple) else 1
    if not (_is_numbers(value, count) and _is_numbers(other, count)):
        return value == other
    return np.allclose(value, other, rtol=0, atol=SAME)


def _names_by_value(headers, field):
    names = collections.defaultdict(list)
    for header in headers:
        names[header.get(field)].append(header.path.name)
    return names


def _texts(value):
    return value if isinstance(value, tuple) else (value,)


def _some(names):
    return names[0] + _others(len(names) - 1)


def _others(count):
    return f" (and {count} more)" if count else ""
