"""One scan, from its files to what a network looks at: 1 mm voxels, clipped HU, lungs, boxes.

The builders and detection prepare a scan by the same `prepare_scan`.
"""

import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, Int16, UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import SWITCH, Settings, within
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.geometry import Grid, boxes_from_points, isotropic_grid, upright_grid
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.resampling import resample_linear, resample_nearest
from medssl_jax.imaging.shapes import grown
from medssl_jax.imaging.volumes import Volume, has_label, read_labels, read_volume

HU_RANGE = (-1200, 600)  # LUNA16 code's convention
SPACING_MM = 1.0
LUNA16_LUNG_LABELS = (3, 4)
LUNA16_MASK_LABELS = frozenset({0, *LUNA16_LUNG_LABELS, 5})  # 5 is the trachea
LUNG_DILATION_MM = 5.0  # our choice: enough for a nodule on the pleura, whose centre a mask may leave out


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskingSettings(Settings, excerpt=True):
    """The part of a scan that a network sees: all of it, or its lungs alone."""

    section: ClassVar[str] = "data"
    mask_lungs: bool = within(SWITCH)


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan at 1 mm; boxes are `z, y, x, depth, height, width` in voxels of `grid`.

    `subset` is the fold, -1 where there are none; `patient` is its key (see
    `medssl_jax.imaging.patients`), "" where it is not known. A scan that is labelled and has no boxes has no nodules;
    of one that is not labelled nothing is known.
    """

    series_uid: str
    subset: int
    hu: Int16[np.ndarray, "z y x"]
    lungs: UInt8[np.ndarray, "z y x"]
    boxes_zyxdhw_voxel: Float32[np.ndarray, "n 6"]
    grid: Grid
    source_spacing_zyx_mm: tuple[float, float, float]
    patient: str = ""
    is_labelled: bool = True


def prepare_scan(scan: ScanFiles, volume: Volume | None = None) -> PreparedScan:
    """Reads a scan and its lung mask and puts them on the 1 mm grid; `volume` is the scan if it is read already.

    Raises:
      InputError: see `read_volume`, `read_labels` and `prepare_volume`.
    """
    if volume is None:
        volume = read_volume(scan.path, series_uid=scan.series_uid)
    lungs = None if scan.lungs_path is None else read_labels(scan.lungs_path)
    return prepare_volume(
        volume,
        lungs,
        scan.centres_xyz_mm,
        scan.diameters_mm,
        subset=scan.subset,
        patient=scan.patient,
        is_labelled=scan.is_labelled,
        lung_labels=lung_labels_of(scan, lungs) if lungs else None,
    )


def resampled_hu(volume: Volume) -> tuple[Int16[np.ndarray, "z y x"], Grid]:
    """The clipped HU of an upright scan at 1 mm, and its grid: what `prepare_volume` makes of the voxels."""
    grid = isotropic_grid(upright_grid(volume.grid), SPACING_MM)
    hu = resample_linear(np.clip(volume.array_zyx, *HU_RANGE), volume.grid, grid)
    return np.rint(hu).astype(np.int16), grid


def lung_labels_of(scan: ScanFiles, mask: Volume) -> tuple[int, ...] | None:
    """The labels of the lungs in the mask of a scan; None stands for every label but 0.

    Where the scan does not say, a mask of LUNA16 is known by its labels, and its trachea is no lung.
    """
    if scan.lung_labels is None and LUNA16_MASK_LABELS.issuperset(np.unique(mask.array_zyx).tolist()):
        return LUNA16_LUNG_LABELS
    return scan.lung_labels


def prepare_volume(
    volume: Volume,
    lungs: Volume | None,
    centres_xyz_mm: Float[np.ndarray, "n 3"],
    diameters_mm: Float[np.ndarray, " n"] | Float[np.ndarray, "n 3"],
    *,
    subset: int = -1,
    patient: str = "",
    is_labelled: bool = True,
    lung_labels: tuple[int, ...] | None = None,
    lung_dilation_mm: float = LUNG_DILATION_MM,
) -> PreparedScan:
    """Clips HU to `HU_RANGE`, turns flipped axes back, resamples to 1 mm, and puts lungs and nodules on that grid.

    HU are clipped first, or padding (-2048, -3024) would bleed into the skin. Interpolation is linear, nearest for
    `lungs`, which may lie on a grid of its own; `lung_labels` are its lungs (every label but 0 if None), dilated by
    `lung_dilation_mm`. No `lungs` are segmented. No nodules is normal: boxes of shape (0, 6). Diameters of shape (n, 3)
    are extents of boxes, see `boxes_from_points`.

    Raises:
      InputError: a nodule outside the volume or without a diameter; a mask without lungs, or none found.
    """
    if lungs is None:
        lungs, lung_labels = Volume(segment_lungs(volume), volume.grid, volume.series_uid), None
        if not lungs.array_zyx.any():
            raise InputError(
                f"{volume.series_uid}: no lungs found in this scan, expected a CT of the chest in HU: give a mask of "
                "its lungs (detect, folder: --lungs) or take it away"
            )
    hu, grid = resampled_hu(volume)
    return PreparedScan(
        series_uid=volume.series_uid,
        subset=subset,
        hu=hu,
        lungs=_dilated_lungs(lungs, grid, lung_labels, lung_dilation_mm),
        boxes_zyxdhw_voxel=_boxes(volume.series_uid, centres_xyz_mm, diameters_mm, grid),
        grid=grid,
        source_spacing_zyx_mm=volume.grid.spacing_zyx_mm,
        patient=patient,
        is_labelled=is_labelled,
    )


def _dilated_lungs(
    lungs: Volume, grid: Grid, labels: tuple[int, ...] | None, dilation_mm: float
) -> UInt8[np.ndarray, "z y x"]:
    on_grid = resample_nearest(has_label(lungs.array_zyx, labels).astype(np.uint8), lungs.grid, grid)
    if not on_grid.any():
        wanted = "other than 0" if labels is None else "in " + ", ".join(map(str, labels))
        raise InputError(f"{lungs.series_uid}: its lung mask has no label {wanted} inside the scan, expected two lungs")
    # ITK's ball: from the middle of its voxel to the far side of the last.
    return grown(on_grid.astype(bool), round(dilation_mm / SPACING_MM) + 0.5).astype(np.uint8)


def _boxes(
    series_uid: str,
    centres_xyz_mm: Float[np.ndarray, "n 3"],
    diameters_mm: Float[np.ndarray, " n"] | Float[np.ndarray, "n 3"],
    grid: Grid,
) -> Float32[np.ndarray, "n 6"]:
    boxes = boxes_from_points(centres_xyz_mm, diameters_mm, grid)
    for box, centre_xyz_mm, diameter_mm in zip(boxes, centres_xyz_mm, diameters_mm, strict=True):
        if not (np.isfinite(diameter_mm) & (diameter_mm > 0)).all():
            raise InputError(f"{series_uid}: a nodule's diameter is {diameter_mm} mm, expected more than 0")
        if not ((box[:3] >= -0.5) & (box[:3] < np.array(grid.size_zyx) - 0.5)).all():
            centre = tuple(round(float(each), 3) for each in centre_xyz_mm)
            raise InputError(f"{series_uid}: a nodule at x, y, z = {centre} mm lies outside the scan")
    return boxes.astype(np.float32)
