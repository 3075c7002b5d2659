"""One scan, from its files to what a network looks at: cubic voxels, clipped HU, the region to search, boxes.

The builders and detection prepare a scan by the same `prepare_scan`.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int16, UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import SWITCH, Settings, each, number, one_of, within
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.body import segment_body
from medssl_jax.imaging.geometry import Grid, boxes_from_points, isotropic_grid, upright_grid
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.resampling import resample_linear, resample_nearest, upright_volume
from medssl_jax.imaging.shapes import grown
from medssl_jax.imaging.volumes import Volume, has_label, read_labels, read_volume

HU_RANGE = (-1200, 600)  # LUNA16 code's convention
SPACING_MM = 1.0
LUNA16_LUNG_LABELS = (3, 4)
LUNA16_MASK_LABELS = frozenset({0, *LUNA16_LUNG_LABELS, 5})  # 5 is the trachea
LARGEST_GREY_LEVEL = 255
LUNG_DILATION_MM = 5.0  # our choice: enough for a nodule on the pleura, whose centre a mask may leave out


LUNGS, BODY = REGIONS = ("lungs", "body")
SPACINGS_MM = (0.25, 8.0)


class Preparation(NamedTuple):
    """What of a scan is searched, `LUNGS` or `BODY`, and the side of the cubic voxels that it gets, in mm."""

    region: str = LUNGS
    spacing_mm: float = SPACING_MM


DEFAULT_PREPARATION = Preparation()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparationSettings(Settings, excerpt=True):
    """The part of a scan that is searched, that a network sees, the HU that it tells apart, and its voxels."""

    section: ClassVar[str] = "data"
    mask_lungs: bool = within(SWITCH)
    region: str = within(one_of(REGIONS), default=LUNGS)
    window_hu: tuple[float | int, float | int] = within(each(number(*HU_RANGE), least=2, most=2), default=HU_RANGE)
    spacing_mm: float | int = within(number(*SPACINGS_MM), default=SPACING_MM)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("mask_lungs", not self.mask_lungs or self.region == LUNGS, f"False where data.region is {BODY}")
        self.expect("window_hu", self.window_hu[0] < self.window_hu[1], "two numbers, the smaller first")

    @property
    def preparation(self) -> Preparation:
        """What a scan's files are made into."""
        return Preparation(self.region, float(self.spacing_mm))


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan in cubic voxels; boxes are `z, y, x, depth, height, width` in voxels of `grid`.

    `lungs` is the region that is searched, which may be another. `subset` is the fold, -1 where there are none;
    `patient` is its key (see `medssl_jax.imaging.patients`), "" where it is not known. A scan that is labelled and has
    no boxes has no nodules; of one that is not labelled nothing is known.
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


def prepare_scan(
    scan: ScanFiles, *, volume: Volume | None = None, preparation: Preparation = DEFAULT_PREPARATION
) -> PreparedScan:
    """Reads a scan and its mask and puts them on the grid of cubic voxels; `volume` is the scan if it is read already.

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
        lung_labels=labels_searched(scan, lungs, preparation.region) if lungs else None,
        preparation=preparation,
    )


def resampled_hu(volume: Volume, spacing_mm: float = SPACING_MM) -> tuple[Int16[np.ndarray, "z y x"], Grid]:
    """The clipped HU of an upright scan in cubic voxels, and its grid: what `prepare_volume` makes of the voxels."""
    grid = isotropic_grid(upright_grid(volume.grid), spacing_mm)
    hu = resample_linear(np.clip(volume.array_zyx, *HU_RANGE), volume.grid, grid)
    return np.rint(hu).astype(np.int16), grid


def labels_searched(scan: ScanFiles, mask: Volume, region: str) -> tuple[int, ...] | None:
    """The labels of a scan's mask that are searched; None stands for every label but 0, as where `region` is `BODY`.

    Of `LUNGS`, where the scan does not say, a mask of LUNA16 is known by its labels, and its trachea is no lung.
    """
    if region == BODY:
        return None
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
    preparation: Preparation = DEFAULT_PREPARATION,
) -> PreparedScan:
    """Turns flipped axes back, clips HU to `HU_RANGE`, resamples, and puts lungs or body and nodules on that grid.

    HU are clipped first, or padding (-2048, -3024) would bleed into the skin. Interpolation is linear, nearest for
    `lungs`, which may lie on a grid of its own; `lung_labels` are its lungs (every label but 0 if None), dilated by
    `lung_dilation_mm`. Where there are no `lungs`, they are segmented, or the body where that is the region of the
    `preparation`; a mask of another organ is then as good. No nodules is normal: boxes of shape (0, 6). Diameters of
    shape (n, 3) are extents of boxes, see `boxes_from_points`.

    Raises:
      InputError: voxels that are no HU; a nodule outside the volume or without a diameter; a mask without lungs, or
        none found.
    """
    _check_hu(volume)
    source_spacing_zyx_mm = volume.grid.spacing_zyx_mm
    # Voxels half way between two slices would go another way in a scan that is stored from the other end.
    volume, lungs = upright_volume(volume), upright_volume(lungs) if lungs else None
    if lungs is None:
        lungs, lung_labels = _found_region(volume, preparation.region), None
    hu, grid = resampled_hu(volume, preparation.spacing_mm)
    return PreparedScan(
        series_uid=volume.series_uid,
        subset=subset,
        hu=hu,
        lungs=_dilated(lungs, grid, lung_labels, lung_dilation_mm, region=preparation.region),
        boxes_zyxdhw_voxel=_boxes(volume.series_uid, centres_xyz_mm, diameters_mm, grid),
        grid=grid,
        source_spacing_zyx_mm=source_spacing_zyx_mm,
        patient=patient,
        is_labelled=is_labelled,
    )


def _check_hu(volume: Volume) -> None:
    array = volume.array_zyx
    if array.dtype.kind not in "if":
        raise InputError(
            f"{volume.series_uid}: found voxels of {array.dtype}, expected HU as signed integers or floats, with air "
            "near -1000: undo its window, or apply the slope and intercept of its headers"
        )
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        z, y, x = np.argwhere(~finite)[0].tolist()
        raise InputError(
            f"{volume.series_uid}: found {(~finite).sum()} voxels that are NaN or infinite, the first at z, y, x = "
            f"{z}, {y}, {x}, expected HU: put those of air (-1000) where nothing was measured"
        )


def _found_region(volume: Volume, region: str) -> Volume:
    found = segment_lungs(volume) if region == LUNGS else segment_body(volume)
    if not found.any():
        hu = _values_in_words(volume)
        told = (
            f"no lungs found in this scan, {hu}, expected a CT of the chest in HU: give a mask of its lungs (detect, "
            "folder: --lungs) or take it away; for lesions elsewhere set data.region=body and data.mask_lungs=False"
            if region == LUNGS
            else f"no body found in this scan, {hu}, expected a CT in HU: give a mask of what to search (detect, "
            "folder: --lungs) or take it away"
        )
        raise InputError(f"{volume.series_uid}: {told}")
    return Volume(found, volume.grid, volume.series_uid)


def _values_in_words(volume: Volume) -> str:
    """The range of a scan's values, and what they may be where they are no HU."""
    low, high = float(volume.array_zyx.min()), float(volume.array_zyx.max())
    told = f"whose values go from {low:g} to {high:g}"
    if low >= 0:
        is_window = high <= LARGEST_GREY_LEVEL
        kind = "grey levels of a window" if is_window else "stored values without the intercept of their headers"
        return f"{told} where air is near -1000 HU ({kind}?)"
    return told


def _dilated(
    lungs: Volume, grid: Grid, labels: tuple[int, ...] | None, dilation_mm: float, *, region: str
) -> UInt8[np.ndarray, "z y x"]:
    on_grid = resample_nearest(has_label(lungs.array_zyx, labels).astype(np.uint8), lungs.grid, grid)
    if not on_grid.any():
        wanted = "other than 0" if labels is None else "in " + ", ".join(map(str, labels))
        mask, expected = ("lung mask", "two lungs") if region == LUNGS else ("mask", "what is to be searched")
        raise InputError(f"{lungs.series_uid}: its {mask} has no label {wanted} inside the scan, expected {expected}")
    # ITK's ball: from the middle of its voxel to the far side of the last.
    return grown(on_grid.astype(bool), round(dilation_mm / grid.spacing_zyx_mm[0]) + 0.5).astype(np.uint8)


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
