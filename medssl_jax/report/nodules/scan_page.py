"""One HTML page about one scan: its slices, which one scrolls, with its marks, and a table of these.

`scan_page.html`, `scan_page_style.html` and the scripts in `viewer` are its own; `page.py` says what all pages have in
common. World coordinates are x, y, z in mm (DICOM LPS).
"""

import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from medssl_jax.imaging.geometry import Grid, upright_grid, voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.lesion_size import LesionSize, lesion_size
from medssl_jax.imaging.resampling import upright_volume
from medssl_jax.imaging.volumes import Volume
from medssl_jax.report import page
from medssl_jax.report.nodules.page_voxels import CODES, HU_OF_CODES, native_patches, whole_stack
from medssl_jax.report.nodules.scan_report import ScanReport
from medssl_jax.report.nodules.views import LUNG_WINDOW_HU, SOFT_TISSUE_WINDOW_HU, View

TEMPLATE = Path(__file__).with_name("scan_page.html")
SCRIPTS = tuple(Path(__file__).parent / "viewer" / name for name in ("voxels.js", "planes.js", "controls.js"))
LONGEST_UID_SHOWN = 24  # characters; longer ones are not read by anybody
UID = re.compile(r"\d+(?:\.\d+){3,}")
LEAST_FRAME_MM = 100.0  # lower pictures have no room for letters and scale
AXIAL_ENLARGED = 1.5  # beside the other two
STRAIGHT = "x to the patient's left, y to the back, z to the head"
STRAIGHT_DEGREES = 0.5
PHANTOM_DETECTOR = (
    "The detector behind these marks was trained on synthetic scans (a phantom) and has never seen a patient. On a "
    "real scan its marks show that the software runs, and nothing about how well nodules are found."
)
PHANTOM_SCAN = "This scan is synthetic (a phantom), not a patient: nothing here is a result on real data."
LEGEND = (
    'Boxes are marks, from score 0<span class="ramp" aria-hidden="true"></span>to 1, the best on top. Scroll by the '
    "wheel, by the sliders, or by the arrow and page keys after a click; a click brings the other planes to the point. "
    "Keys: N and P next and previous mark, L and S windows, + and &minus; zoom. A front, H head, R the patient's right."
)
MEASURED = (
    "Diameters (longest and across, in the axial plane), volume and mean HU are measured roughly, by density round the "
    "mark: vessels and pleura that touch it count."
)
CALIBRATED = (
    "A probability is a score that was calibrated on validation scans: of marks with 0.3, three in ten were on a "
    "lesion there. "
)
WORLD = f"World coordinates are DICOM LPS: {STRAIGHT}."
EMPTY = "That does not mean that the scan is free of lesions."
SIDES = (("patient's left", "patient's right"), ("back", "front"), ("head", "feet"))
TIMES = " \N{MULTIPLICATION SIGN} "


def scan_page(detections: ScanReport, volume: Volume, *, min_score: float | None) -> str:
    """The page with the scan as it was read, `volume`; the marks of at least `min_score` are shown at first.

    Where that is None, the ten best are.
    """
    upright = upright_volume(volume)
    grid = upright.grid
    places = world_xyz_mm_to_voxel_zyx(detections.marks.centre_xyz_mm, grid)
    sizes = [
        lesion_size(upright.array_zyx, grid.spacing_zyx_mm, place, float(diameter_mm))
        for place, diameter_mm in zip(places, detections.diameter_mm, strict=True)
    ]
    shown, threshold = detections.count_from(min_score), detections.least_score_shown(min_score)
    slice_axis, slices = _slices_of(volume.grid, grid)
    stack = whole_stack(upright, slice_axis)
    patches = native_patches(upright, places[:shown]) if max(stack.reduction_zyx) > 1 else []
    data = {
        "size": grid.size_zyx,
        "spacing": grid.spacing_zyx_mm,
        "frame": (_frame_zyx_mm(grid) / grid.spacing_zyx_mm).tolist(),
        "threshold": threshold,
        "codes": CODES,
        "hu_of_codes": HU_OF_CODES,
        "windows_hu": {"lung": LUNG_WINDOW_HU, "soft": SOFT_TISSUE_WINDOW_HU},
        "window": "lung" if detections.detector.searches_lungs else "soft",
        "slice_axis": slice_axis,
        "instance_numbers": _instance_numbers(detections, slices),
        "marks": [
            # Voxel i reaches from i to i + 1 in the page's pictures.
            {"number": k + 1, "score": float(score), "place": (place + 0.5).tolist(), "diameter_mm": float(diameter_mm)}
            for k, (score, place, diameter_mm) in enumerate(
                zip(detections.marks.score, places, detections.diameter_mm, strict=True)
            )
        ],
        "stack": stack.as_json(),
        "patches": [patch.as_json() for patch in patches],
    }
    return page.fill_page(
        TEMPLATE,
        scripts=SCRIPTS,
        title=f"Marks in {html.escape(name_for_people(detections))}",
        notices=page.notices(_warnings(detections) + detections.told(min_score)),
        threshold=f"{threshold:.2f}",
        proportions=_proportions(grid),
        planes="\n".join(_plane(view, grid) for view in View),
        legend=" ".join([LEGEND, *_resolution(stack.reduction_zyx, len(patches), shown)]),
        table=_counted(detections, shown, min_score) + _table(detections, sizes, shown),
        facts=_facts(detections),
        data=page.json_element("scan", data),
        footer=f"{WORLD} Every mark is in detections.csv and detections.json beside this page. {page.software()}.",
    )


def name_for_people(detections: ScanReport) -> str:
    """What a scan is called in a title: a DICOM series by description and date, others by file, long UIDs shortened."""
    source, name = detections.source, UID.sub(_shortened, detections.input_name)
    return name if source is None else ", ".join(filter(None, (source.description or name, source.date)))


def _shortened(uid: re.Match[str]) -> str:
    text = uid[0]
    return text if len(text) <= LONGEST_UID_SHOWN else f"{text[:5]}\N{HORIZONTAL ELLIPSIS}{text[-6:]}"


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
        "Lungs" if card.searches_lungs else "Body": f"mask {detections.lungs_name}"
        if detections.lungs_name
        else "segmented from the scan, roughly",
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


def _slices_of(grid: Grid, upright: Grid) -> tuple[int, list[int]]:
    """The axis of the upright scan along which the slices follow each other, and in which order, as they were read."""
    steps = world_xyz_mm_to_voxel_zyx(voxel_zyx_to_world_xyz_mm(np.vstack([np.zeros(3), np.eye(3)]), upright), grid)
    along = (steps[1:] - steps[0])[:, 0]
    axis = int(np.abs(along).argmax())
    slices = np.rint(steps[0, 0] + along[axis] * np.arange(upright.size_zyx[axis])).astype(int)
    return axis, slices.tolist()


def _instance_numbers(detections: ScanReport, slices: Iterable[int]) -> list[int | None]:
    source = detections.source
    return [] if source is None else [source.instances[k].number for k in slices]


def _frame_zyx_mm(grid: Grid) -> Float[np.ndarray, "3"]:
    """What a picture shows of each axis: of a scan of a few slices also some of what is not there."""
    return np.maximum(np.array(grid.size_zyx) * grid.spacing_zyx_mm, LEAST_FRAME_MM)


def _proportions(grid: Grid) -> str:
    widths = [_frame_zyx_mm(grid)[view.columns_axis] for view in View]
    widths[0] *= AXIAL_ENLARGED
    columns = [f"minmax(0, {width:.0f}fr)" for width in widths]
    return f"--columns: {' '.join(columns)}; --two-columns: {' '.join(columns[1:])}"


def _plane(view: View, grid: Grid) -> str:
    _, upper, left = view.value
    name = view.name.lower()
    height, width = _frame_zyx_mm(grid)[[view.rows_axis, view.columns_axis]]
    above, on_left = {"A": "front", "H": "head"}[upper], {"A": "front", "R": "the patient's right"}[left]
    slices = grid.size_zyx[view.axis]
    label = f"{name.capitalize()} slice, {above} above, {on_left} on the left"
    return f"""<figure id="{name}">
<div class="frame" style="aspect-ratio:{width:.1f}/{height:.1f}">
<canvas role="img" aria-label="{label}"></canvas>
<span class="edge upper" aria-hidden="true">{upper}</span>
<span class="edge left" aria-hidden="true">{left}</span>
<span class="scale" aria-hidden="true"></span>
</div>
<figcaption><label>{name.capitalize()} <input type="range" id="{name}-slice" min="1" max="{slices}"></label>
<output></output></figcaption>
</figure>"""


def _resolution(reduction_zyx: tuple[int, int, int], patches: int, shown: int) -> list[str]:
    factor = max(reduction_zyx)
    if factor == 1:
        return []
    told = f"Slices are at 1/{factor} of their resolution, 15 mm round the marks that were shown at first at all of it"
    return [f"{told}." if patches == shown else f"{told}: of the best {patches}, for size."]


def _counted(detections: ScanReport, shown: int, min_score: float | None) -> str:
    total = len(detections.marks)
    if total == 0:
        return f"<p>The detector made no mark. {EMPTY}</p>\n"
    of_all = f"of {page.count(total, 'mark', 'marks')}"
    if min_score is None:
        counted = f"{shown} {of_all}, the best, {'is' if shown < 2 else 'are'} shown"
    else:
        counted = f"{shown or 'None'} {of_all} {'reaches' if shown < 2 else 'reach'} a score of {min_score:g}"
    rest = "" if shown == total else " The slider of the score shows the others."
    return f"<p>{counted}.{'' if shown else f' {EMPTY}'}{rest}</p>\n"


def _table(detections: ScanReport, sizes: list[LesionSize | None], shown: int) -> str:
    if not len(detections.marks):
        return ""
    probability = detections.probability
    is_dicom = detections.source is not None
    columns = ["Mark", "Score", *(["Probability"] if probability is not None else [])]
    columns += ["DICOM instance"] if is_dicom else []
    columns += ["Diameter (mm)", "Measured (mm)", "Volume (mm³)", "Mean HU"]
    columns += ["World x, y, z (mm, LPS)", "Voxel x, y, z (from 0)"]
    rows = []
    for k, size in enumerate(sizes):
        instance = detections.instance_of(k)
        cells = [f"{detections.marks.score[k]:.3f}"]
        cells += [f"{probability[k]:.3f}"] if probability is not None else []
        cells += [_or_dash(instance.number, "d")] if instance is not None else []
        cells += [f"{detections.diameter_mm[k]:.1f}", *_size_cells(size)]
        cells += [_listed(detections.marks.centre_xyz_mm[k]), _voxel(detections, k)]
        button = f'<button type="button" data-mark="{k + 1}" aria-label="Show mark {k + 1}">{k + 1}</button>'
        hidden = "" if k < shown else " hidden"
        cells_html = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr id="row-{k + 1}"{hidden}><th scope="row">{button}</th>{cells_html}</tr>')
    measured = f'<p class="quiet">{"" if probability is None else CALIBRATED}{MEASURED}</p>\n'
    return measured + page.scrolled(page.table(columns, rows), name="Table of marks")


def _size_cells(size: LesionSize | None) -> list[str]:
    if size is None:
        return ["-"] * 3
    return [f"{size.long_mm:.1f}{TIMES}{size.short_mm:.1f}", f"{size.volume_mm3:.0f}", f"{size.mean_hu:.0f}"]


def _or_dash(value: Any, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _voxel(detections: ScanReport, k: int) -> str:
    return ", ".join(f"{index:.0f}" for index in detections.centre_voxel_zyx[k, ::-1])


def _listed(centre_xyz_mm: Float[np.ndarray, "3"]) -> str:
    return ", ".join(f"{mm:.1f}" for mm in centre_xyz_mm)


def _by(numbers: Iterable[int | float], form: str) -> str:
    return TIMES.join(f"{number:{form}}" for number in numbers)
