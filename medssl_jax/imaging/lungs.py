"""The lungs of a CT from its HU, for scans that come without a mask.

Rough on purpose: the mask says where to look for nodules and is dilated by its users. All numbers here are our choice,
tried on two real CTs, on phantoms and on a hand-made chest.
"""

import numpy as np
from etils import epy
from jaxtyping import Bool, Float32, UInt8

from medssl_jax.imaging.chest_air import (
    LEAST_AIR_VOXELS,
    PADDING_RIM_VOXELS,
    ChestView,
    air_in_body,
    looks_like_lung,
    meets,
    view_of_chest,
)
from medssl_jax.imaging.geometry import Grid, isotropic_grid, upright_grid
from medssl_jax.imaging.resampling import resample_linear, resample_nearest
from medssl_jax.imaging.shapes import (
    ball,
    box_round,
    closed_far,
    grown,
    labelled_parts,
    shrunk,
    signed_distance_voxels,
)
from medssl_jax.imaging.volumes import Volume

with epy.lazy_imports():
    import SimpleITK as sitk
    from scipy import ndimage

HU_RANGE = (-1200, 600)
AIRWAY_BELOW_HU = -940
# The work is done in voxels of 2 mm for an adult, and in smaller ones where chest and walls are smaller.
WORKING_SPACING_MM = (0.8, 2.0)
WORKING_VOXELS_ACROSS = 160
LARGE_AIRWAY_VOXELS = 125
AIRWAY_OPENING_VOXELS = 1.5
MOST_AIRWAY_SHARE = 0.1
SMALLER_LUNG_SHARE = 0.1
JOINED_LUNGS_SHARE = 0.5  # what is next in size to two lungs that touch is less than this
SPLIT_LUNG_SHARE = 0.25
THICKEST_JUNCTION_VOXELS = 3
CLOSING_VOXELS = 2.0
DENT_CLOSING_MM = 16  # the radius of LUNA16's largest nodule
# In a dent lung prevails all round: at the larger scale of large nodules, at the smaller one of tiny ones.
DENT_SCALES_MM = (8.0, 2.0)


def segment_lungs(volume: Volume) -> UInt8[np.ndarray, "z y x"]:
    """A mask of 0 and 1 on the grid of `volume`, a CT in HU: one or two lungs, filled, no trachea, no large bronchi.

    The sides of the view, its first and last slice and padding may go through the lungs; a crop may hold one lung only.
    All zeros where no lung is found.
    """
    view, grid = view_of_volume(volume)
    return resample_nearest(lungs_in_view(view, grid.spacing_zyx_mm[0]).astype(np.uint8), grid, volume.grid)


def view_of_volume(volume: Volume) -> tuple[ChestView, Grid]:
    """The chest on the upright grid of cubic voxels that the work is done on, and that grid."""
    grid = _working_grid(volume.grid)
    return view_of_chest(resample_linear(np.clip(volume.array_zyx, *HU_RANGE), volume.grid, grid)), grid


def lungs_in_view(view: ChestView, step_mm: float) -> Bool[np.ndarray, "z y x"]:
    """As `segment_lungs`, on the grid of `view`, whose voxels are `step_mm` wide."""
    air = air_in_body(view)
    mask = np.zeros(air.shape, bool)
    margin = round(DENT_CLOSING_MM / step_mm) + 2
    for lung in _lungs(air & ~_large_airways(view.hu, air), view):
        # One lung at a time, or closing would bridge the mediastinum.
        part = box_round(lung, margin)
        mask[part] |= _filled(lung[part], step_mm)
    return _up_to_padding(mask, view)


def _working_grid(grid: Grid) -> Grid:
    upright = upright_grid(grid)
    across_mm = max(np.multiply(upright.size_zyx, upright.spacing_zyx_mm)[1:])
    return isotropic_grid(upright, float(np.clip(across_mm / WORKING_VOXELS_ACROSS, *WORKING_SPACING_MM)))


def _large_airways(hu: Float32[np.ndarray, "z y x"], air: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    dark = ndimage.uniform_filter((hu < AIRWAY_BELOW_HU).astype(np.float32), 3, mode="nearest") > 0.5
    dark &= air
    if dark.sum() > MOST_AIRWAY_SHARE * air.sum():
        return np.zeros_like(air)  # emphysema is as dark as an airway; better an airway too many than half a lung
    around = ball(AIRWAY_OPENING_VOXELS)
    labels = labelled_parts(grown(shrunk(dark, around), around))
    is_large = np.bincount(labels.ravel()) >= LARGE_AIRWAY_VOXELS
    is_large[0] = False
    # The wall's partial volume goes with the airway, or it would stay as a hollow tube.
    return grown(is_large[labels], around)


def _lungs(air: Bool[np.ndarray, "z y x"], view: ChestView) -> list[Bool[np.ndarray, "z y x"]]:
    """One or two, and what else there is of lungs that the view cuts to pieces."""
    labels = labelled_parts(air)
    voxels = np.bincount(labels.ravel())
    first, second = voxels[1:2].sum(), voxels[2:3].sum()
    halves = _split_where_thin(labels == 1) if second < JOINED_LUNGS_SHARE * first else ()
    is_lung = voxels > SMALLER_LUNG_SHARE * first
    is_lung[0] = is_lung[3:] = False
    if halves:
        is_lung[1:3] = False
    faces = view.sides.copy()
    faces[[0, -1]] = True
    is_piece = (voxels >= LEAST_AIR_VOXELS) & meets(labels, faces)
    is_piece[:2] = False
    if is_piece.any():
        is_piece &= looks_like_lung(labels, view)
    return [*halves, *(labels == label for label in np.flatnonzero(is_lung | is_piece))]


def _split_where_thin(lungs: Bool[np.ndarray, "z y x"]) -> tuple[Bool[np.ndarray, "z y x"], ...]:
    """Two lungs that touch, mostly in front of the heart; none where there is one."""
    part = box_round(lungs, 1)
    distance = signed_distance_voxels(lungs[part])
    for thickness in range(1, THICKEST_JUNCTION_VOXELS + 1):
        labels = labelled_parts(distance < -thickness)
        if (labels == 2).sum() > SPLIT_LUNG_SHARE * (labels == 1).sum():
            is_first = np.zeros_like(lungs)
            is_first[part] = signed_distance_voxels(labels == 1) < signed_distance_voxels(labels == 2)
            return lungs & is_first, lungs & ~is_first
    return ()


def _filled(lung: Bool[np.ndarray, "z y x"], step_mm: float) -> Bool[np.ndarray, "z y x"]:
    """Vessels and nodules belong to the lung, also those that dent it from its wall; the heart does not."""
    around = ball(CLOSING_VOXELS)
    lung = ndimage.binary_fill_holes(lung | shrunk(grown(lung, around), around))
    hull = closed_far(lung, round(DENT_CLOSING_MM / step_mm))
    for scale_mm in DENT_SCALES_MM:
        image = sitk.GetImageFromArray(lung.astype(np.float32))
        share = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, scale_mm / step_mm))
        lung = lung | (hull & (share > 0.5))
    return ndimage.binary_fill_holes(lung)


def _up_to_padding(mask: Bool[np.ndarray, "z y x"], view: ChestView) -> Bool[np.ndarray, "z y x"]:
    """The rim of padding is lung where a lung lies beside it; padding never is."""
    return (mask | (grown(mask, ball(PADDING_RIM_VOXELS, axes=(1, 2))) & view.padding_rim)) & ~view.padding
