"""One HTML page about a data set: the verdict on training, defects, ranges, and pictures of a sample of scans.

`check_page.html` and `check_page_style.html` are its own; `medssl_jax.report.page` says what all pages have in common.
"""

import collections
import dataclasses
import html
import itertools
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import LUNG_DILATION_MM, LUNGS, labels_searched
from medssl_jax.data_check.defects import CheckedScan, CheckReport
from medssl_jax.data_check.lung_defects import DOUBTED
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.resampling import resample_nearest
from medssl_jax.imaging.volumes import Volume, has_label, read_labels, read_volume
from medssl_jax.report import page
from medssl_jax.report.data_check.check_summary import SAMPLED, all_notices, is_straight, range_rows, verdict
from medssl_jax.report.nodules.contact_sheet import SheetScan, draw_contact_sheet
from medssl_jax.report.nodules.views import LUNG_WINDOW_HU, SOFT_TISSUE_WINDOW_HU

TEMPLATE = Path(__file__).with_name("check_page.html")
PICTURED_SCANS = 6
PICTURED_OF_A_REASON = 2
PICTURED_DOUBTED_LUNGS = 20
THINNED_TO_MM = 1.0  # a page needs no finer slices, and a whole CT as floats is large
SHEET_PIXELS = 1000


def check_page(report: CheckReport) -> str:
    """The page; reads the pictured scans."""
    return page.fill_page(
        TEMPLATE,
        title=f"{html.escape(report.dataset)} in {html.escape(report.folder.name)}",
        verdict=html.escape(verdict(report)),
        verdict_class="" if report.can_start else " blocked",
        facts=page.fact_list({"Folder": str(report.folder), **report.overview}),
        notices=page.notices(())
        + "\n"
        + "\n".join(f'<p class="notice">{html.escape(each)}</p>' for each in all_notices(report)),
        defects=_defects(report),
        ranges=_ranges(report),
        sheets=_sheets(report),
        footer=f"{SAMPLED} {page.software()}.",
    )


def pictured_scans(report: CheckReport) -> list[CheckedScan]:
    """Scans that are worth a look: with lungs that may be wrong, with defects, turned ones, others evenly spread."""
    scans = report.sampled
    with_nodules = [scan for scan in scans if len(scan.scan.centres_xyz_mm)]
    doubted = _with_doubted_lungs(report)[:PICTURED_DOUBTED_LUNGS]
    reasons = (
        [scan for scan in scans if scan.defects],
        [scan for scan in scans if scan.lungs],
        [scan for scan in scans if not is_straight(scan)],
    )
    first = [scan for reason in reasons for scan in reason[:PICTURED_OF_A_REASON]]
    pool = with_nodules or scans
    spread = [pool[k] for k in np.linspace(0, len(pool) - 1, PICTURED_SCANS).round().astype(int)] if pool else []
    unique = {(scan.scan.path, scan.scan.series_uid): scan for scan in itertools.chain(doubted, first, spread)}
    return list(unique.values())[: max(PICTURED_SCANS, len(doubted))]


def _with_doubted_lungs(report: CheckReport) -> list[CheckedScan]:
    return [scan for scan in report.sampled if any(defect.kind in DOUBTED for defect in scan.defects)]


def _defects(report: CheckReport) -> str:
    if not report.defects:
        return ""
    kinds = collections.Counter((not defect.blocks, defect.kind) for defect in report.defects)
    counted = ", ".join(f"{kind}: {number}" for (_, kind), number in sorted(kinds.items()))
    rows = (
        f"<tr><td{' class=blocks' if each.blocks else ''}>{'blocks' if each.blocks else 'goes on'}</td>"
        f"<td>{html.escape(each.kind)}</td><td>{html.escape(each.subject)}</td><td>{html.escape(each.message)}</td></tr>"
        for each in sorted(report.defects, key=lambda each: (not each.blocks, each))
    )
    listed = page.table(("Training", "Defect", "Of", "Found, and what to do"), rows)
    heading = page.count(len(report.defects), "defect", "defects")
    return page.section(heading, f"<p>{counted}</p>", page.scrolled(listed, name="Defects", kind="defects"))


def _ranges(report: CheckReport) -> str:
    if not report.sampled:
        return ""
    header, *body = range_rows(report)
    ranges = page.table(header, (page.row(*cells) for cells in body))
    return page.section("Ranges", f'<div class="scroll ranges">\n{ranges}\n</div>')


def _sheets(report: CheckReport) -> str:
    of_lungs = report.region == LUNGS
    window_hu = LUNG_WINDOW_HU if of_lungs else SOFT_TISSUE_WINDOW_HU
    figures = [figure for scan in pictured_scans(report) if (figure := _figure(scan, report.region, window_hu))]
    if not figures:
        return ""
    window = "lung" if of_lungs else "soft tissue"
    outlined = "the lungs, which are those of the mask, or found" if of_lungs else "the mask, where there is one"
    legend = (
        f"In {window} window, the patient's right on the left; in green the outline of {outlined}: training looks up "
        f"to {LUNG_DILATION_MM:g} mm beyond it; boxes round the nodules that a slice cuts."
    )
    if (doubted := len(_with_doubted_lungs(report))) > PICTURED_DOUBTED_LUNGS:
        legend += f" Of {doubted} scans whose lungs are worth a look these are the first {PICTURED_DOUBTED_LUNGS}."
    return page.section("A sample", f'<p class="quiet">{legend}</p>', *figures)


def _figure(checked: CheckedScan, region: str, window_hu: tuple[float, float]) -> str:
    scan = checked.scan
    try:
        whole = read_volume(scan.path, series_uid=scan.series_uid)
        volume = _thinned(whole)
        lungs = _outlined(checked, whole, region, volume.grid)
    except (InputError, OSError):  # a defect of the scan tells of it
        return ""
    diameters = scan.diameters_mm if scan.diameters_mm.ndim == 1 else scan.diameters_mm.max(axis=1)
    found = f", {checked.lungs.litres:.3g} l of lung found" if checked.lungs else ""
    title = f"{scan.series_uid}, {page.count(len(diameters), 'nodule', 'nodules')}{found}"
    depth_mm, height_mm, width_mm = np.multiply(volume.array_zyx.shape, volume.grid.spacing_zyx_mm)
    scale = SHEET_PIXELS / (2 * width_mm + max(height_mm, depth_mm))
    pictured = SheetScan("", volume, scan.centres_xyz_mm, diameters, lungs=lungs, window_hu=window_hu)
    sheet = draw_contact_sheet([pictured], pixels_per_mm=float(scale))
    alt = f"An axial, a coronal and a sagittal slice of {title}"
    picture = f'<img src="{page.png_data_uri(sheet)}" alt="{html.escape(alt)}">'
    return f'<figure class="sheet">\n{picture}\n<figcaption>{html.escape(title)}</figcaption>\n</figure>'


def _outlined(checked: CheckedScan, volume: Volume, region: str, onto: Grid) -> Bool[np.ndarray, "z y x"] | None:
    """The mask that training would look through, before it is dilated; None where there is none."""
    if checked.lungs:
        return resample_nearest(segment_lungs(volume), volume.grid, onto).astype(bool)
    if checked.scan.lungs_path is None:
        return None
    given = read_labels(checked.scan.lungs_path)
    inside = has_label(given.array_zyx, labels_searched(checked.scan, given, region))
    return resample_nearest(inside.astype(np.uint8), given.grid, onto).astype(bool)


def _thinned(volume: Volume) -> Volume:
    """Every second, third ... voxel along an axis that is finer than `THINNED_TO_MM` by as much."""
    steps = [max(1, round(THINNED_TO_MM / spacing)) for spacing in volume.grid.spacing_zyx_mm]
    array = volume.array_zyx[tuple(slice(None, None, step) for step in steps)]
    z, y, x = (mm * step for mm, step in zip(volume.grid.spacing_zyx_mm, steps, strict=True))
    grid = Grid(array.shape, (z, y, x), volume.grid.origin_xyz_mm, volume.grid.direction)
    return dataclasses.replace(volume, array_zyx=array, grid=grid)
