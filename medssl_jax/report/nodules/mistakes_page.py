"""One HTML page about what a detector got wrong: missed nodules and its best false positives, beside the FROC curve.

World coordinates are x, y, z in mm (DICOM LPS).
"""

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int16

from medssl_jax.imaging.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.metrics.nodules.froc import FrocResult
from medssl_jax.metrics.nodules.mistakes import Mistake, Mistakes
from medssl_jax.metrics.nodules.operating_points import operating_points
from medssl_jax.report import page
from medssl_jax.report.nodules.views import LUNG_WINDOW_HU, View, draw_slice, frame_round

TEMPLATE = Path(__file__).with_name("mistakes_page.html")
MOST = 24  # of either kind; more are for a program to look at
RATE = 1.0  # false positives a scan, or the nearest rate that was scored
REACH_MM, REACH_DIAMETERS = 25, 1.0  # of a picture to each side
UNMEASURED_MM = 10.0  # the box of what has no diameter
PIXELS_PER_MM, QUALITY = 3, 85


class Seen(NamedTuple):
    """A scan of cubic voxels, z towards the head, y to the back, x to the patient's left."""

    hu_zyx: Int16[np.ndarray, "z y x"]
    grid: Grid


def threshold_of(result: FrocResult) -> float:
    """The score that costs one false positive a scan, or the nearest rate that was scored; inf where none does."""
    points = operating_points(result.outcome, fps_per_scan=(_rate_of(result),))
    return points[0].threshold if points else np.inf


def _rate_of(result: FrocResult) -> float:
    return min(result.fps_per_scan, key=lambda each: abs(np.log(each / RATE)))


def mistakes_page(
    name: str,
    result: FrocResult,
    mistakes: Mistakes,
    *,
    froc_png: bytes,
    scan_of: Callable[[str], Seen],
    seen_as: str,
    window_hu: tuple[float, float] = LUNG_WINDOW_HU,
) -> str:
    """The page about the detector `name`; `scan_of` opens a scan, which is asked for once for each that is shown.

    `seen_as` says in words what the pictures are of, which are drawn in a window of HU.
    """
    missed, false = mistakes.missed[:MOST], mistakes.false_positives[:MOST]
    pictures = _pictures([*missed, *false], scan_of, window_hu)
    low, high = window_hu
    window = "lung window" if window_hu == LUNG_WINDOW_HU else f"{low:g} to {high:g} HU from black to white"
    rate = f"{_rate_of(result):g} FP/scan"
    threshold = "none reaches it" if mistakes.threshold == np.inf else f"{mistakes.threshold:.3g}"
    facts = {
        "Scans": str(result.scans),
        "Nodules": str(mistakes.nodules),
        "CPM": f"{result.cpm:.3f}",
        f"Score at {rate}": threshold,
        "Pictures": f"{seen_as}; {window}, {2 * REACH_MM} mm or more across, front or head above, the patient's "
        "right or front on the left",
    }
    return page.fill_page(
        TEMPLATE,
        title=f"Mistakes of {html.escape(name)}",
        notices=page.notices([]),
        facts=page.fact_list(facts),
        froc=page.png_file_uri(froc_png),
        missed=_section(
            "Missed nodules",
            f"Without a mark of the score at {rate}: {len(mistakes.missed)} of {mistakes.nodules}",
            missed,
            len(mistakes.missed),
            pictures[: len(missed)],
            _missed_in_words,
        ),
        false=_section(
            "False positives of the highest scores",
            f"Marks on no nodule and no excluded finding: {len(mistakes.false_positives)}",
            false,
            len(mistakes.false_positives),
            pictures[len(missed) :],
            lambda mistake: f"Score {mistake.score:.3f}",
        ),
        footer=f"World coordinates are DICOM LPS. {page.software()}.",
    )


def _missed_in_words(mistake: Mistake) -> str:
    diameter = "diameter not measured" if np.isnan(mistake.diameter_mm) else f"{mistake.diameter_mm:.1f} mm"
    best = "no mark on it" if np.isnan(mistake.score) else f"best mark on it {mistake.score:.3f}"
    return f"{diameter}, {best}"


def _section(
    heading: str,
    told: str,
    shown: Sequence[Mistake],
    total: int,
    pictures: Sequence[str],
    in_words: Callable[[Mistake], str],
) -> str:
    rest = f"; the first {len(shown)} are shown" if len(shown) < total else ""
    cards = [
        f"<article>\n<h3>{in_words(mistake)}</h3>\n"
        f"<p>{html.escape(mistake.series_uid)}<br>x, y, z = {_listed(mistake.centre_xyz_mm)} mm</p>\n"
        f'<div class="views">\n{figures}\n</div>\n</article>'
        for mistake, figures in zip(shown, pictures, strict=True)
    ]
    return page.section(heading, f"<p>{told}{rest}.</p>", '<div class="cards">', *cards, "</div>")


def _pictures(mistakes: Sequence[Mistake], scan_of: Callable[[str], Seen], window_hu: tuple[float, float]) -> list[str]:
    """The figures of each, scan by scan, so that each is opened once."""
    figures = [""] * len(mistakes)
    for series_uid in dict.fromkeys(each.series_uid for each in mistakes):
        scan = scan_of(series_uid)
        for place, mistake in enumerate(mistakes):
            if mistake.series_uid == series_uid:
                figures[place] = "\n".join(_figure(view, mistake, scan, window_hu) for view in View)
    return figures


def _figure(view: View, mistake: Mistake, scan: Seen, window_hu: tuple[float, float]) -> str:
    (centre,) = world_xyz_mm_to_voxel_zyx(mistake.centre_xyz_mm[None], scan.grid)
    diameter_mm = UNMEASURED_MM if np.isnan(mistake.diameter_mm) else mistake.diameter_mm
    voxel_mm = scan.grid.spacing_zyx_mm[0]
    # A frame counts in voxels.
    frame = frame_round(view, centre, round(max(REACH_MM, round(REACH_DIAMETERS * diameter_mm)) / voxel_mm))
    index = round(float(centre[view.axis]))
    pixels = max(1, round(PIXELS_PER_MM * voxel_mm))
    picture = draw_slice(scan.hu_zyx, frame, index, window_hu=window_hu, pixels_per_mm=pixels)
    left, top, width, height = frame.rectangle(np.array([*centre, *[diameter_mm / voxel_mm] * 3]))
    place = (
        f"left:{100 * left / frame.width_mm:.2f}%;top:{100 * top / frame.height_mm:.2f}%;"
        f"width:{100 * width / frame.width_mm:.2f}%;height:{100 * height / frame.height_mm:.2f}%"
    )
    name = view.name.capitalize()
    alt = f"{name} slice, {frame.width_mm * voxel_mm:.0f} mm wide, with a box of {diameter_mm:.0f} mm"
    return (
        f'<figure><div class="frame"><img src="{page.jpeg_data_uri(picture, quality=QUALITY)}" alt="{alt}" '
        f'width="{frame.width_mm}" height="{frame.height_mm}"><span class="box" style="{place}" aria-hidden="true">'
        f"</span></div><figcaption>{name}</figcaption></figure>"
    )


def _listed(centre_xyz_mm: Float[np.ndarray, "3"]) -> str:
    return ", ".join(f"{mm:.1f}" for mm in centre_xyz_mm)
