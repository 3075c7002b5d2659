"""One HTML page about one scan: its metadata, the places of its marks, and slices through each of them.

`scan_page.html` and `scan_page_style.html` are its own; `page.py` says what all pages have in common.
World coordinates are x, y, z in mm (DICOM LPS).
"""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.data.preparation import PreparedScan
from medssl_jax.imaging.geometry import Grid, upright_grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.report import page
from medssl_jax.report.nodules.scan_report import ScanReport
from medssl_jax.report.nodules.views import Frame, View, draw_projection, draw_slice, frame_round

TEMPLATE = Path(__file__).with_name("scan_page.html")
REACH_MM = 40  # of a slice on each side of a mark
REACH_DIAMETERS = 1.25
PIXELS_PER_MM = 3
NUMBERED_MARKS = 20  # in the overview; more would hide the picture, so the rest are boxes only
THIN_MM = 60  # pictures of a scan of a few slices have no room for letters and numbers
STRAIGHT = "x to the patient's left, y to the back, z to the head"
STRAIGHT_DEGREES = 0.5
PHANTOM_DETECTOR = (
    "The detector behind these marks was trained on synthetic scans (a phantom) and has never seen a patient. On a "
    "real scan its marks show that the software runs, and nothing about how well nodules are found."
)
PHANTOM_SCAN = "This scan is synthetic (a phantom), not a patient: nothing here is a result on real data."
LEGEND = (
    "Each through the centre of its mark, in lung window (width 1500, level -600 HU). Yellow: the mark's box; blue, "
    "dashed: other marks that the slice cuts; grey-blue: beyond the scan. Letters: A front, H head, R the patient's "
    "right."
)
WORLD = f"World coordinates are DICOM LPS: {STRAIGHT}."
EMPTY = "That does not mean that the scan is free of nodules."
BoxZyxdhw = Float[np.ndarray, "6"]  # in voxels of the prepared scan
BoxesZyxdhw = Float[np.ndarray, "n 6"]
SIDES = (("patient's left", "patient's right"), ("back", "front"), ("head", "feet"))
FROM_WHERE = {View.AXIAL: "from below", View.CORONAL: "from the front", View.SAGITTAL: "from the left"}


def scan_page(detections: ScanReport, scan: PreparedScan, *, min_probability: float) -> str:
    """The page, with the marks of at least `min_probability`, each in three slices of the prepared scan."""
    shown = [k for k, probability in enumerate(detections.marks.probability) if probability >= min_probability]
    boxes = _boxes_zyxdhw(detections, scan.grid)[shown]
    return page.fill_page(
        TEMPLATE,
        title=f"Marks in {html.escape(detections.input_name)}",
        notices=page.notices(_warnings(detections) + detections.told(min_probability)),
        facts=_facts(detections),
        overview=_overview(scan, boxes),
        table=_counted(detections, len(shown), min_probability) + _table(detections, shown),
        marks=_marks(detections, shown, boxes, scan),
        footer=f"{WORLD} Every mark is in detections.csv and detections.json beside this page. {page.software()}.",
    )


def _warnings(detections: ScanReport) -> list[str]:
    warnings = [PHANTOM_SCAN] if detections.is_phantom_scan else []
    warnings += [PHANTOM_DETECTOR] if detections.detector.trained_on_phantom else []
    return warnings + detections.detector.told


def _facts(detections: ScanReport) -> str:
    grid, card = detections.grid, detections.detector
    size_xyz, spacing_xyz_mm = grid.size_zyx[::-1], grid.spacing_zyx_mm[::-1]
    extent_xyz_mm = (n * mm for n, mm in zip(size_xyz, spacing_xyz_mm, strict=True))
    facts = {
        "Input": detections.input_name,
        "Series UID": detections.series_uid,
        "Size": f"{_by(size_xyz, 'd')} voxels (x, y, z), {_by(extent_xyz_mm, '.0f')} mm",
        "Spacing": f"{_by(spacing_xyz_mm, '.3f')} mm",
        "Direction": direction_in_words(grid),
        "Lungs": f"mask {detections.lungs_name}" if detections.lungs_name else "segmented from the scan, roughly",
        "Detector": f"{card.run}, step {card.step}",
        "Trained on": card.trained_on,
    }
    return page.fact_list(facts)


def direction_in_words(grid: Grid) -> str:
    """The directions of the x, y and z index axes in the patient in words, and their tilt where they are oblique."""
    words = []
    for name, axis in zip("xyz", grid.direction_matrix.T, strict=True):
        nearest = int(np.abs(axis).argmax())
        words.append(f"{name} to the {SIDES[nearest][0 if axis[nearest] > 0 else 1]}")
    cosines = np.diag(upright_grid(grid).direction_matrix).clip(-1, 1)
    tilt = float(np.degrees(np.arccos(cosines)).max())
    return ", ".join(words) + (f"; tilted by {tilt:.1f}°" if tilt > STRAIGHT_DEGREES else "")


def _overview(scan: PreparedScan, boxes: BoxesZyxdhw) -> str:
    figures = []
    for view in View:
        frame = Frame(view, scan.hu.shape)
        alt = f"The whole scan seen {FROM_WHERE[view]}, {frame.width_mm} by {frame.height_mm} mm, "
        alt += f"with {page.count(len(boxes), 'numbered box', 'numbered boxes')}; {_hanging(view)}."
        overlays = [_box(frame, box, "box") for box in boxes]
        if not _is_thin(frame):
            overlays += [_number(frame, box, k) for k, box in enumerate(boxes[:NUMBERED_MARKS], 1)]
        picture = page.png_data_uri(draw_projection(scan.hu, frame))
        figures.append(_figure(frame, picture, alt, overlays, f"Seen {FROM_WHERE[view]}", bar_mm=50))
    text = "Mean density along each direction, as an X-ray shows it."
    return f'<p class="quiet">{text}</p>\n<div class="views scan">\n' + "\n".join(figures) + "\n</div>"


def _counted(detections: ScanReport, shown: int, min_probability: float) -> str:
    total = len(detections.marks)
    if total == 0:
        return f"<p>The detector made no mark. {EMPTY}</p>\n"
    if shown == 0:
        counted = f"No mark reaches a probability of {min_probability:g}; {total} below it stand in detections.csv."
        return f"<p>{counted} {EMPTY}</p>\n"
    if shown == total:
        return f"<p>{page.count(total, 'mark.', 'marks, best first.')}</p>\n"
    rest = f"the other {total - shown} are in detections.csv"
    return f"<p>{shown} of {total} marks, best first: a probability of {min_probability:g} or more; {rest}.</p>\n"


def _table(detections: ScanReport, shown: Sequence[int]) -> str:
    if not shown:
        return ""
    rows = (
        page.row(
            f'<a href="#mark-{number}">{number}</a>',
            f"{detections.marks.probability[k]:.3f}",
            f"{detections.diameter_mm[k]:.1f}",
            _listed(detections.marks.centre_xyz_mm[k]),
            _voxel(detections, k),
        )
        for number, k in enumerate(shown, 1)
    )
    columns = ("Mark", "Probability", "Diameter (mm)", "World x, y, z (mm, LPS)", "Voxel x, y, z (from 0)")
    return page.scrolled(page.table(columns, rows), name="Table of marks")


def _marks(detections: ScanReport, shown: Sequence[int], boxes: BoxesZyxdhw, scan: PreparedScan) -> str:
    if not shown:
        return ""
    articles = []
    for number, k in enumerate(shown, 1):
        facts = (
            f"Probability {detections.marks.probability[k]:.3f}, diameter {detections.diameter_mm[k]:.1f} mm, "
            f"centre at x, y, z = {_listed(detections.marks.centre_xyz_mm[k])} mm, voxel {_voxel(detections, k)}"
        )
        figures = "\n".join(_slice_figure(view, number, boxes, scan) for view in View)
        head = f"<h3>Mark {number}</h3>\n<p>{facts}</p>"
        articles.append(f'<article id="mark-{number}">\n{head}\n<div class="views">\n{figures}\n</div>\n</article>')
    return page.section("Slices", f'<p class="quiet">{LEGEND}</p>', *articles)


def _slice_figure(view: View, number: int, boxes: BoxesZyxdhw, scan: PreparedScan) -> str:
    box = boxes[number - 1]
    index = round(float(box[view.axis]))
    frame = frame_round(view, box[:3], max(REACH_MM, round(REACH_DIAMETERS * float(box[3:].max()))))
    others = [other for k, other in enumerate(boxes, 1) if k != number and _cuts(other, view.axis, index)]
    overlays = [*(_box(frame, other, "box other") for other in others), _box(frame, box, "box")]
    name = view.name.capitalize()
    alt = f"{name} slice through mark {number} in lung window, {frame.width_mm} by {frame.height_mm} mm, "
    alt += f"with a box of {box[3:].mean():.0f} mm round its centre; {_hanging(view)}."
    picture = page.png_data_uri(draw_slice(scan.hu, frame, index, pixels_per_mm=PIXELS_PER_MM))
    return _figure(frame, picture, alt, overlays, name, bar_mm=10)


def _figure(frame: Frame, picture: str, alt: str, overlays: Sequence[str], caption: str, *, bar_mm: int) -> str:
    _, upper, left = frame.view.value
    width, height = frame.width_mm, frame.height_mm
    parts = [f'<img src="{picture}" alt="{html.escape(alt)}" width="{width}" height="{height}">', *overlays]
    if not _is_thin(frame):
        bar = f'style="width:{100 * bar_mm / width:.3f}%"'
        parts.append(f'<span class="edge upper" aria-hidden="true">{upper}</span>')
        parts.append(f'<span class="edge left" aria-hidden="true">{left}</span>')
        parts.append(f'<span class="scale" {bar} aria-hidden="true">{bar_mm} mm</span>')
    # Figures in a row share its width by their own, which gives them one scale.
    return (
        f'<figure style="flex:{width} 1 0">\n<div class="frame" style="aspect-ratio:{width}/{height}">\n'
        + "\n".join(parts)
        + f"\n</div>\n<figcaption>{caption}</figcaption>\n</figure>"
    )


def _number(frame: Frame, box: BoxZyxdhw, number: int) -> str:
    left, top, width, height = frame.rectangle(box)
    place = f"left:{100 * (left + width) / frame.width_mm:.3f}%;top:{100 * (top + height) / frame.height_mm:.3f}%"
    return f'<a class="number" href="#mark-{number}" aria-label="Mark {number}" style="{place}">{number}</a>'


def _box(frame: Frame, box: BoxZyxdhw, kind: str) -> str:
    rectangle = frame.rectangle(box)
    left, width = (100 * mm / frame.width_mm for mm in (rectangle.left, rectangle.width))
    top, height = (100 * mm / frame.height_mm for mm in (rectangle.top, rectangle.height))
    place = f"left:{left:.3f}%;top:{top:.3f}%;width:{width:.3f}%;height:{height:.3f}%"
    return f'<span class="{kind}" style="{place}" aria-hidden="true"></span>'


def _boxes_zyxdhw(detections: ScanReport, grid: Grid) -> BoxesZyxdhw:
    centres = world_xyz_mm_to_voxel_zyx(detections.marks.centre_xyz_mm, grid)
    return np.hstack([centres, np.repeat(detections.diameter_mm[:, None], 3, 1)])


def _is_thin(frame: Frame) -> bool:
    return min(frame.width_mm, frame.height_mm) < THIN_MM


def _cuts(box: BoxZyxdhw, axis: int, index: int) -> bool:
    return bool(abs(box[axis] - index) <= box[3 + axis] / 2)


def _hanging(view: View) -> str:
    above, left = {"A": "front", "H": "head"}[view.value[1]], {"A": "front", "R": "the patient's right"}[view.value[2]]
    return f"{above} above, {left} on the left"


def _voxel(detections: ScanReport, k: int) -> str:
    return ", ".join(f"{index:.0f}" for index in detections.centre_voxel_zyx[k, ::-1])


def _listed(centre_xyz_mm: Float[np.ndarray, "3"]) -> str:
    return ", ".join(f"{mm:.1f}" for mm in centre_xyz_mm)


def _by(numbers: Iterable[int | float], form: str) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(f"{number:{form}}" for number in numbers)
