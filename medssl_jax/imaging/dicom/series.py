"""Series of slices: finds those of one CT in a folder, their order and their place, from DICOM headers alone.

What is wrong with a series is a sentence that begins with the problem's name: `slice missing: 5.00 mm between ...`.
"""

import collections
import dataclasses
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief, printable, some
from medssl_jax.imaging.dicom.checks import could_belong, field_problems, names_of, pixel_problems
from medssl_jax.imaging.dicom.headers import Header, read_headers
from medssl_jax.imaging.geometry import Grid, check_extent

LOCALIZER_MOST_IMAGES = 5  # an NLST study holds localizers of up to five images beside its reconstructions
DUPLICATE_DISTANCE_MM = 0.01
STEP_TOLERANCE = 0.1  # of the slice distance


@dataclasses.dataclass(frozen=True)
class Series:
    """The slices of one CT, lowest along the slice normal first, and the grid they make."""

    series_uid: str
    headers: tuple[Header, ...]
    grid: Grid


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
    series, unless their images could be slices of that one; what is left out is said on stderr.

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
    return Series(series.series_uid, series.headers, series.grid)


def find_series(folder: Path) -> tuple[tuple[FoundSeries, ...], tuple[str, ...]]:
    """All series of one folder, its subfolders left out, and what is wrong with files that belong to none.

    Problems are: not CT; localizer; a field missing or without sense; several frames in a file; grey values of another
    kind; slices of differing size, spacing, orientation, patient or study; a single slice; two slices at one place; a
    slice missing; a tilted gantry; a compression that cannot be read; pixels that are absent, cut short or of another
    size than the header says; more voxels than its files can hold.
    """
    headers, unreadable = read_headers(folder)
    by_uid = collections.defaultdict(list)
    for header in headers:
        by_uid[str(header.get("SeriesInstanceUID"))].append(header)
    return tuple(_found_series(uid, of_series) for uid, of_series in by_uid.items()), tuple(unreadable)


def check_apart(folder: Path, few: FoundSeries, series: FoundSeries) -> None:
    """Raises `InputError` where a few images beside a series could be slices of it, which it then lacks."""
    if could_belong(few.headers[0], series.headers[0]):
        raise InputError(
            f"{folder}: {names_of(few.headers)} is of series {brief(few.series_uid)}, but looks like a slice of series "
            f"{brief(series.series_uid)}: correct its SeriesInstanceUID, or put it in a folder of its own"
        )


def _wanted(folder: Path, found: Sequence[FoundSeries], series_uid: str | None) -> FoundSeries:
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
        listed = ", ".join(f"{brief(series.series_uid)} ({len(series.headers)} images)" for series in found)
        raise InputError(f"{folder}: {len(found)} series, expected one: {listed}: put each in a folder of its own")
    for other in found:
        if other is longer[0]:
            continue
        check_apart(folder, other, longer[0])
        left_out = f"left out {names_of(other.headers)} of series {brief(other.series_uid)}"
        print(f"{printable(str(folder))}: {left_out}, beside the CT {brief(longer[0].series_uid)}", file=sys.stderr)
    return longer[0]


def _found_series(series_uid: str, headers: list[Header]) -> FoundSeries:
    problems = list(field_problems(headers))
    slice_distance_mm = math.nan
    grid: Grid | None = None
    if not problems:
        headers, slice_distance_mm, grid, problems = _stack(headers)
    # These say nothing about where the slices lie.
    problems += pixel_problems(headers)
    return FoundSeries(
        series_uid, tuple(headers), slice_distance_mm, None if problems else grid, tuple(dict.fromkeys(problems))
    )


def _stack(headers: list[Header]) -> tuple[list[Header], float, Grid | None, list[str]]:
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
    problems = list(_step_problems([header.name for header in headers], heights_mm, steps_mm, usual_mm))
    travel = positions - positions[0]
    shift_mm = float(np.linalg.norm(travel - np.outer(travel @ normal, normal), axis=1).max())
    if shift_mm > max(spacing_y_mm, spacing_x_mm) / 2:
        problems.append(f"tilted gantry: slices shift by {shift_mm:.2f} mm sideways, expected a straight stack")
    if problems:
        return headers, usual_mm, None, problems
    rows, columns = headers[0].get("Rows"), headers[0].get("Columns")
    try:
        grid = Grid(
            (len(headers), rows, columns),
            (float(np.mean(steps_mm)), spacing_y_mm, spacing_x_mm),
            tuple(positions[0].tolist()),
            tuple(np.stack([row_axis, column_axis, normal], axis=1).ravel().tolist()),
        )
        check_extent(grid)
    except InputError as error:
        return headers, usual_mm, None, [f"field without sense: {error}"]
    return headers, usual_mm, grid, []


def _step_problems(
    names: Sequence[str], heights_mm: Float[np.ndarray, " n"], steps_mm: Float[np.ndarray, " n-1"], usual_mm: float
) -> Iterator[str]:
    between = [f"{name} and {following}" for name, following in itertools.pairwise(names)]
    is_double = steps_mm < DUPLICATE_DISTANCE_MM
    doubles = [f"{between[at]} lie at the same place ({heights_mm[at]:.2f} mm)" for at in np.flatnonzero(is_double)]
    if doubles:
        yield f"duplicate slice: {some(doubles, most=1)}: remove the duplicate"
    is_uneven = ~is_double & (np.abs(steps_mm - usual_mm) > STEP_TOLERANCE * usual_mm)
    uneven = [f"{steps_mm[at]:.2f} mm between {between[at]}" for at in np.flatnonzero(is_uneven)]
    if uneven:
        yield (
            f"slice missing: {some(uneven, most=1)}, {usual_mm:.2f} mm elsewhere: a slice is missing or does not belong"
        )
