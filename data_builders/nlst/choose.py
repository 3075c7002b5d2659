"""The choice of one reconstruction for each study.

A usable series has no problem, lies axial and has at least `LEAST_SLICES` slices. Of several, in this order: slices at
most `THIN_MM` thick and apart before others; original before derived; soft kernel before unknown before sharp; thinner
slices; more slices; the first series UID.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from data_builders.nlst.kernels import Sharpness, sharpness
from data_builders.nlst.table import SeriesRow

LEAST_SLICES = 30  # our choice: the lungs take 80 slices at 2.5 mm and more
ANOTHER = "another reconstruction"
THIN_MM = 2.5  # LUNA16's limit of the slice thickness


class Choice(NamedTuple):
    """A series and why it is left out; "" for the one that stands for its study."""

    row: SeriesRow
    reason: str


def choose(rows: Iterable[SeriesRow], *, least_slices: int = LEAST_SLICES) -> tuple[Choice, ...]:
    """Every row with the reason why it is left out, by patient, study date, then series UID."""
    rows = sorted(rows, key=lambda row: (row.patient, row.study_date, row.series_uid, row.folder))
    best: dict[str, SeriesRow] = {}
    unusable = [_why_unusable(row, least_slices) for row in rows]
    for row, reason in zip(rows, unusable, strict=True):
        if not reason:
            best[row.study_uid] = min(row, best.get(row.study_uid, row), key=_preference)
    return tuple(
        Choice(row, reason or _why_not(row, best[row.study_uid])) for row, reason in zip(rows, unusable, strict=True)
    )


def _why_unusable(row: SeriesRow, least_slices: int) -> str:
    if row.problem:
        return row.problem
    if not row.is_axial:
        return "not axial: its slices do not run across the body"
    if row.images < least_slices:
        return f"few slices: {row.images}, expected at least {least_slices}"
    return ""


def _why_not(row: SeriesRow, chosen: SeriesRow) -> str:
    return "" if row is chosen else f"{ANOTHER}: {chosen.series_uid} stands for this study"


def _preference(row: SeriesRow) -> tuple[bool, bool, Sharpness, float, int, str]:
    distance_mm = math.inf if row.slice_distance_mm is None else row.slice_distance_mm
    thickness_mm = distance_mm if row.slice_thickness_mm is None else row.slice_thickness_mm
    return (
        max(distance_mm, thickness_mm) > THIN_MM + 0.01,  # positions are rounded
        "DERIVED" in row.image_type.upper(),
        sharpness(row.manufacturer, row.kernel),
        thickness_mm,
        -row.images,
        row.series_uid,
    )
