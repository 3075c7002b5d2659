"""The lungs of a CT from its HU, for scans that come without a mask.

Rough on purpose: the mask says where to look for nodules and is dilated by its users. All numbers here are our choice,
tried on two real CTs, on phantoms and on a hand-made chest.
"""

import dataclasses
import itertools

import numpy as np
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
from medssl_jax.imaging.pyramid import doubled, halved, smoothed
from medssl_jax.imaging.resampling import resample_linear, resample_nearest
from medssl_jax.imaging.shapes import (
    Box,
    Part,
    closed,
    closed_roughly,
    filled,
    grown,
    joined,
    labelled_parts,
    opened,
    parts,
    shrunk,
    widened,
)
from medssl_jax.imaging.volumes import Volume

HU_RANGE = (-1200, 600)
AIRWAY_BELOW_HU = -940
# The work is done in voxels of 2 mm for an adult, and in smaller ones where chest and walls are smaller.
WORKING_SPACING_MM = (0.8, 2.0)
WORKING_VOXELS_ACROSS = 160
LARGE_AIRWAY_VOXELS = 125
AIRWAY_SMOOTHING_VOXELS = 0.8
AIRWAY_OPENING_VOXELS = 1.5
MOST_AIRWAY_SHARE = 0.1
SMALLER_LUNG_SHARE = 0.1
JOINED_LUNGS_SHARE = 0.5  # what is next in size to two lungs that touch is less than this
SPLIT_LUNG_SHARE = 0.25
THICKEST_JUNCTION_VOXELS = 4  # as many as tell two lungs apart on a grid half as fine
NEARER_CORE_VOXELS = 4.0  # coarse ones
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
        part = widened(lung, margin, mask.shape)
        mask[part.box] |= _with_dents(part.mask, step_mm)
    return _up_to_padding(mask, view)


def _working_grid(grid: Grid) -> Grid:
    upright = upright_grid(grid)
    across_mm = max(np.multiply(upright.size_zyx, upright.spacing_zyx_mm)[1:])
    return isotropic_grid(upright, float(np.clip(across_mm / WORKING_VOXELS_ACROSS, *WORKING_SPACING_MM)))


def _large_airways(hu: Float32[np.ndarray, "z y x"], air: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    dark = air & (smoothed(hu < AIRWAY_BELOW_HU, AIRWAY_SMOOTHING_VOXELS) > 0.5)
    if dark.sum() > MOST_AIRWAY_SHARE * air.sum():
        return np.zeros_like(air)  # emphysema is as dark as an airway; better an airway too many than half a lung
    large = parts(opened(dark, AIRWAY_OPENING_VOXELS), LARGE_AIRWAY_VOXELS)
    # The wall's partial volume goes with the airway, or it would stay as a hollow tube.
    return grown(joined(large, air.shape), AIRWAY_OPENING_VOXELS)


def _lungs(air: Bool[np.ndarray, "z y x"], view: ChestView) -> list[Part]:
    """One or two, and what else there is of lungs that the view cuts to pieces."""
    found = list(parts(air, LEAST_AIR_VOXELS))
    if not found:
        return []
    first, *others = found
    lungs = [first, *(part for part in others[:1] if part.voxels > SMALLER_LUNG_SHARE * first.voxels)]
    if not others or others[0].voxels < JOINED_LUNGS_SHARE * first.voxels:
        lungs = _split_where_thin(first, air.shape) or lungs
    faces = view.sides.copy()
    faces[[0, -1]] = True
    pieces = (part for part in others if part not in lungs and meets(part, faces) and looks_like_lung(part, view))
    return [*lungs, *pieces]


def _split_where_thin(lungs: Part, shape: tuple[int, ...]) -> list[Part]:
    """Two lungs that touch, mostly in front of the heart; an empty list where there is one."""
    around = widened(lungs, 2, shape)
    # Which voxels belong to which is seen on a grid half as fine.
    coarse = halved(around.mask) > 0.5
    for thickness in range(1, THICKEST_JUNCTION_VOXELS + 1):
        cores = list(itertools.islice(parts(shrunk(coarse, (thickness + 1) / 2)), 2))
        if len(cores) == 2 and cores[1].voxels > SPLIT_LUNG_SHARE * cores[0].voxels:
            first, second = (smoothed(joined([core], coarse.shape), NEARER_CORE_VOXELS) for core in cores)
            is_first = doubled(first - second, around.mask.shape) > 0
            labels = np.where(is_first, around.mask, 2 * around.mask.view(np.uint8))
            return [_moved(half, around.box) for half in labelled_parts(labels)]
    return []


def _moved(part: Part, of: Box) -> Part:
    """A part of the array in the box `of`, as one of the array that this box is cut from."""
    z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(part.box, of, strict=True))
    return dataclasses.replace(part, box=(z, y, x))


def _with_dents(lung: Bool[np.ndarray, "z y x"], step_mm: float) -> Bool[np.ndarray, "z y x"]:
    """Vessels and nodules belong to the lung, also those that dent it from its wall; the heart does not."""
    lung = filled(closed(lung, CLOSING_VOXELS))
    hull = closed_roughly(lung, DENT_CLOSING_MM / step_mm)
    for scale_mm in DENT_SCALES_MM:
        lung |= hull & (smoothed(lung, scale_mm / step_mm) > 0.5)
    return filled(lung)


def _up_to_padding(mask: Bool[np.ndarray, "z y x"], view: ChestView) -> Bool[np.ndarray, "z y x"]:
    """The rim of padding is lung where a lung lies beside it; padding never is."""
    if not view.padding.any():
        return mask
    return (mask | (grown(mask, PADDING_RIM_VOXELS, axes=(1, 2)) & view.padding_rim)) & ~view.padding
