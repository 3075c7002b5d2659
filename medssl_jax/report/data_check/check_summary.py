"""A check in numbers and sentences: ranges over the scans, what is turned or padded, defects as rows."""

import collections
from collections.abc import Sequence

import numpy as np

from medssl_jax.data_check.defects import CheckedScan, CheckReport
from medssl_jax.data_check.lung_defects import DOUBTED
from medssl_jax.data_check.sampling import SAMPLED_SLICES
from medssl_jax.report.nodules.scan_page import STRAIGHT, direction_in_words
from medssl_jax.report.page import count
from medssl_jax.report.text_table import text_table

SHOWN_OF_A_KIND = 10  # in the terminal; the page has all
RANGES = (
    ("spacing z (mm)", lambda sample: sample.grid.spacing_zyx_mm[0]),
    ("spacing y (mm)", lambda sample: sample.grid.spacing_zyx_mm[1]),
    ("spacing x (mm)", lambda sample: sample.grid.spacing_zyx_mm[2]),
    ("voxels along z", lambda sample: sample.grid.size_zyx[0]),
    ("voxels along y", lambda sample: sample.grid.size_zyx[1]),
    ("voxels along x", lambda sample: sample.grid.size_zyx[2]),
    ("lowest HU", lambda sample: sample.lowest_hu),
    ("highest HU", lambda sample: sample.highest_hu),
)
SAMPLED = (
    f"Read: all headers and tables; of raw scans {SAMPLED_SLICES} whole slices each, first to last; every voxel of "
    "masks, of compressed scans and of those whose lungs were found. Scans are the same where their size and these "
    "slices are. HU leave padding out."
)


def text_report(report: CheckReport) -> str:
    """The report for a terminal."""
    lines = [f"{report.dataset} in {report.folder}", ""]
    lines += [text_table([(f"{name}:", words) for name, words in report.overview.items()], names=2), ""]
    if report.sampled:
        lines += [text_table(range_rows(report)), ""]
    lines += [f"notice: {notice}" for notice in all_notices(report)]
    by_kind = collections.defaultdict(list)
    for defect in report.defects:
        by_kind[(not defect.blocks, defect.kind)].append(defect)
    for (_, kind), defects in sorted(by_kind.items()):
        lines += [
            f"{'BLOCKS' if each.blocks else 'defect'}: {each.kind}: {each.subject}: {each.message}"
            for each in defects[:SHOWN_OF_A_KIND]
        ]
        if len(defects) > SHOWN_OF_A_KIND:
            lines.append(f"        {kind}: {len(defects) - SHOWN_OF_A_KIND} more of them are on the page")
    return "\n".join([*lines, verdict(report)])


def verdict(report: CheckReport) -> str:
    """One sentence: can training start?"""
    blocking = sum(defect.blocks for defect in report.defects)
    if blocking:
        return f"Training cannot start: {count(blocking, 'defect blocks', 'defects block')} it."
    if report.defects:
        doubted = len({defect.subject for defect in report.defects if defect.kind in DOUBTED})
        lungs = f", first the lungs of {count(doubted, 'scan', 'scans')}" if doubted else ""
        return f"Training can start; {count(len(report.defects), 'defect is', 'defects are')} worth a look{lungs}."
    return "Training can start; no defect was found."


def range_rows(report: CheckReport) -> list[tuple[str, ...]]:
    """Lowest, median and highest over the scans; the first row is the header."""
    rows: list[tuple[str, ...]] = [("", "lowest", "median", "highest")]
    columns = [(name, [value(scan.sample) for scan in report.sampled]) for name, value in RANGES]
    columns.append(("lungs found (l)", [scan.lungs.litres for scan in report.scans if scan.lungs]))
    for name, found in columns:
        values = np.array(found, float)
        values = values[~np.isnan(values)]
        if len(values):
            rows.append((name, *(f"{number:.5g}" for number in (values.min(), np.median(values), values.max()))))
    return rows


def all_notices(report: CheckReport) -> list[str]:
    """The report's own notices, and those of scans that are flipped, tilted or padded."""
    turned, padded = collections.defaultdict(list), collections.defaultdict(list)
    for scan in report.sampled:
        assert scan.sample is not None
        if not is_straight(scan):
            turned[direction_in_words(scan.sample.grid)].append(scan.scan.series_uid)
        if scan.sample.padding_hu is not None:
            padded[scan.sample.padding_hu].append(scan.scan.series_uid)
    return [
        *report.notices,
        *(
            f"direction: {count(len(names), 'scan', 'scans')} with {words} ({_some(names)}): "
            "turned upright when prepared"
            for words, names in turned.items()
        ),
        *(
            f"padding: {count(len(names), 'scan', 'scans')} with {value} outside the field of view ({_some(names)})"
            for value, names in sorted(padded.items())
        ),
    ]


def is_straight(scan: CheckedScan) -> bool:
    """True where the array's axes run to the patient's left, back and head."""
    assert scan.sample is not None
    return direction_in_words(scan.sample.grid) == STRAIGHT


def _some(names: Sequence[str]) -> str:
    return names[0] + (", ..." if len(names) > 1 else "")
