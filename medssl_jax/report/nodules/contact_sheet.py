"""A contact sheet: for each scan one axial, one coronal and one sagittal slice, with boxes round its findings.

Where a mask of the lungs is given, they are outlined.

Slices are drawn as radiologists hang them: the patient's right on the left, the front above in the axial slice, the
head above in the others; every millimetre is as long as any other.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from etils import epy
from jaxtyping import Bool, Float, UInt8

from medssl_jax.core.atomic import atomic_path
from medssl_jax.imaging.geometry import Grid, upright_grid, voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.resampling import resample_nearest
from medssl_jax.imaging.shapes import shrunk
from medssl_jax.imaging.volumes import Volume
from medssl_jax.report.nodules.views import LUNG_WINDOW_HU, windowed

with epy.lazy_imports():
    from PIL import Image, ImageDraw

NODULE_COLOUR, EXCLUDED_COLOUR, LUNGS_COLOUR = (255, 210, 0), (80, 160, 255), (90, 230, 140)
TEXT_COLOUR = (255, 255, 255)
BOX_MARGIN_MM = 1.5
GAP_PIXELS, TITLE_PIXELS = 4, 16
NO_POINTS = np.zeros((0, 3))
DEFAULT_EXCLUDED_DIAMETER_MM = 10.0  # what LUNA16 takes for a diameter of -1
# Its low and its high corner in voxels, and its colour.
ColouredBox = tuple[Float[np.ndarray, "2 3"], tuple[int, int, int]]


@dataclasses.dataclass(frozen=True, eq=False)
class SheetScan:
    """One row of the sheet. The slices go through the middle of the largest nodule, else of the right lung.

    `lungs` is a mask on the volume's grid.
    """

    title: str
    volume: Volume
    nodules_xyz_mm: Float[np.ndarray, "n 3"] = dataclasses.field(default_factory=NO_POINTS.copy)
    nodule_diameters_mm: Float[np.ndarray, " n"] = dataclasses.field(default_factory=lambda: np.zeros(0))
    excluded_xyz_mm: Float[np.ndarray, "m 3"] = dataclasses.field(default_factory=NO_POINTS.copy)
    excluded_diameters_mm: Float[np.ndarray, " m"] = dataclasses.field(default_factory=lambda: np.zeros(0))
    lungs: Bool[np.ndarray, "z y x"] | None = None
    window_hu: tuple[float, float] = LUNG_WINDOW_HU


def draw_contact_sheet(
    scans: Sequence[SheetScan], *, pixels_per_mm: float = 1.5
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws the sheet, each scan in its window: nodules in yellow, excluded ones in blue, lungs' outline in green."""
    rows = [_row(scan, pixels_per_mm) for scan in scans]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, GAP_PIXELS), (0, width - row.shape[1]), (0, 0))) for row in rows])


def write_contact_sheet(
    path: str | os.PathLike[str], scans: Sequence[SheetScan], *, pixels_per_mm: float = 1.5
) -> None:
    """Writes the sheet as a PNG."""
    image = Image.fromarray(draw_contact_sheet(scans, pixels_per_mm=pixels_per_mm))
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def _row(scan: SheetScan, pixels_per_mm: float) -> UInt8[np.ndarray, "height width 3"]:
    volume, lungs, boxes = _hung(scan)
    array, spacing = volume.array_zyx, volume.grid.spacing_zyx_mm
    grey = windowed(array.astype(np.float32), scan.window_hu)
    middle = _middle(boxes, array.shape)
    views = []
    for axis in range(3):
        rows_axis, columns_axis = (k for k in range(3) if k != axis)
        plane = np.take(grey, middle[axis], axis)
        scale = [spacing[rows_axis] * pixels_per_mm, spacing[columns_axis] * pixels_per_mm]
        size = [max(1, round(n * s)) for n, s in zip(plane.shape, scale, strict=True)]
        image = Image.fromarray((plane * 255).astype(np.uint8)).resize(size[::-1], Image.Resampling.BILINEAR)
        image = image.convert("RGB")
        if lungs is not None:
            inside = Image.fromarray(np.take(lungs, middle[axis], axis)).resize(size[::-1], Image.Resampling.NEAREST)
            image.paste(LUNGS_COLOUR, mask=Image.fromarray(_outline(np.asarray(inside))))
        draw = ImageDraw.Draw(image)
        for box, colour in boxes:
            if box[0, axis] <= middle[axis] <= box[1, axis]:
                top, left, bottom, right = ((box[:, (rows_axis, columns_axis)] + 0.5) * scale).ravel().tolist()
                draw.rectangle((left, top, right, bottom), outline=colour)
        views.append(np.asarray(image))
    height = max(view.shape[0] for view in views)
    padded = [np.pad(view, ((TITLE_PIXELS, height - view.shape[0]), (0, GAP_PIXELS), (0, 0))) for view in views]
    row = Image.fromarray(np.concatenate(padded, axis=1))
    ImageDraw.Draw(row).text((2, 2), scan.title, fill=TEXT_COLOUR)
    return np.asarray(row)


def _outline(inside: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """The outermost pixels; where the picture ends there is no outline, so that cut lungs can be told from whole."""
    return inside & ~shrunk(inside[None], 1.0)[0]


def _hung(scan: SheetScan) -> tuple[Volume, Bool[np.ndarray, "z y x"] | None, list[ColouredBox]]:
    """Scan and mask with the head first, then front, then the patient's right, and the boxes in voxels of them."""
    grid = _head_first(scan.volume.grid)
    volume = Volume(resample_nearest(scan.volume.array_zyx, scan.volume.grid, grid), grid, scan.volume.series_uid)
    lungs = scan.lungs
    if lungs is not None:
        lungs = resample_nearest(lungs.astype(np.uint8), scan.volume.grid, grid).astype(bool)
    boxes = []
    for points, diameters, colour in (
        (scan.nodules_xyz_mm, scan.nodule_diameters_mm, NODULE_COLOUR),
        (scan.excluded_xyz_mm, scan.excluded_diameters_mm, EXCLUDED_COLOUR),
    ):
        diameters = np.where(diameters > 0, diameters, DEFAULT_EXCLUDED_DIAMETER_MM)
        for centre, diameter in zip(world_xyz_mm_to_voxel_zyx(points, grid), diameters, strict=True):
            half = (diameter / 2 + BOX_MARGIN_MM) / np.array(grid.spacing_zyx_mm)
            boxes.append((np.stack([centre - half, centre + half]), colour))
    return volume, lungs, boxes


def _head_first(grid: Grid) -> Grid:
    """The same voxels from the head, the front and the right, whatever the axes they are stored along."""
    grid = upright_grid(grid)
    head_xyz_mm = voxel_zyx_to_world_xyz_mm(np.array([[grid.size_zyx[0] - 1.0, 0, 0]]), grid)[0]
    direction = grid.direction_matrix * (1, 1, -1)
    return Grid(grid.size_zyx, grid.spacing_zyx_mm, tuple(head_xyz_mm.tolist()), tuple(direction.ravel().tolist()))


def _middle(boxes: Sequence[ColouredBox], size: tuple[int, ...]) -> list[int]:
    nodules = [box for box, colour in boxes if colour == NODULE_COLOUR]
    if not nodules:
        return [size[0] // 2, size[1] // 2, size[2] // 3]  # x: through the right lung, not along the spine
    low, high = max(nodules, key=lambda box: box[1][2] - box[0][2])
    return [int(np.clip(round(float(m)), 0, n - 1)) for m, n in zip((low + high) / 2, size, strict=True)]
