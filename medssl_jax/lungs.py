"""The lungs of a CT from its HU, for scans that come without a mask.

Rough on purpose: the mask says where to look for nodules and is dilated by its users. All numbers here are our choice,
tried on two real CTs, on phantoms and on a hand-made chest.
"""

import numpy as np
from jaxtyping import UInt8

from medssl_jax.geometry import isotropic_grid, upright_grid
from medssl_jax.resampling import resample_linear, resample_nearest, to_image
from medssl_jax.volumes import Volume

HU_RANGE = (-1200, 600)  # the padding outside the field of view is air here
TISSUE_ABOVE_HU = -400
AIRWAY_BELOW_HU = -940
# The work is done in voxels of 2 mm for an adult, and in smaller ones where chest and walls are smaller.
WORKING_SPACING_MM = (0.8, 2.0)
WORKING_VOXELS_ACROSS = 160
BODY_OPENING_VOXELS = 2  # takes the couch off the back
LEAST_AIR_VOXELS = 1000
OUTSIDE_CONTACT = 0.3
LARGE_AIRWAY_VOXELS = 125
MOST_AIRWAY_SHARE = 0.1
SMALLER_LUNG_SHARE = 0.1
JOINED_LUNGS_SHARE = 0.5  # what is next in size to two lungs that touch is less than this
SPLIT_LUNG_SHARE = 0.25
THICKEST_JUNCTION_VOXELS = 3
CLOSING_VOXELS = 2
DENT_CLOSING_MM = 16  # the radius of LUNA16's largest nodule
# In a dent lung prevails all round: at the larger scale of large nodules, at the smaller one of tiny ones.
DENT_SCALES_MM = (8.0, 2.0)


def segment_lungs(volume: Volume) -> UInt8[np.ndarray, "z y x"]:
    """A mask of 0 and 1 on the grid of `volume`: one or two lungs, filled, without trachea and large bronchi.

    Cut faces in z may go through the lungs, and a crop may hold one lung only. All zeros where no lung is found.
    """
    import SimpleITK as sitk

    grid = _working_grid(volume.grid)
    image = to_image(resample_linear(np.clip(volume.array_zyx, *HU_RANGE), volume.grid, grid), grid)
    air = _air_in_body(image > TISSUE_ABOVE_HU)
    mask = np.zeros(grid.size_zyx, np.uint8)
    for lung in _one_or_two_lungs(sitk.And(air, sitk.Not(_large_airways(image, air)))):
        # One lung at a time, or closing would bridge the mediastinum.
        part = _part_round(lung)
        mask[part] |= sitk.GetArrayFromImage(_filled(lung[part[::-1]]))
    return resample_nearest(mask, grid, volume.grid)


def _working_grid(grid):
    upright = upright_grid(grid)
    across_mm = max(np.multiply(upright.size_zyx, upright.spacing_zyx_mm)[1:])
    return isotropic_grid(upright, float(np.clip(across_mm / WORKING_VOXELS_ACROSS, *WORKING_SPACING_MM)))


def _air_in_body(tissue):
    """Outside air runs along the image border, which a lung meets with a cut bronchus at most; foam lies in a couch."""
    import SimpleITK as sitk

    body = _largest_part(sitk.BinaryMorphologicalOpening(tissue, [BODY_OPENING_VOXELS] * 3))
    (_, front, _), (_, back, _) = _bounds_zyx(body)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.Not(tissue)), LEAST_AIR_VOXELS)
    labels = sitk.GetArrayFromImage(parts)
    voxels_of_row = np.stack([np.bincount(row.ravel(), minlength=labels.max() + 1) for row in labels.swapaxes(0, 1)])
    voxels = np.maximum(voxels_of_row.sum(axis=0), 1)
    middle_row = np.arange(len(voxels_of_row)) @ voxels_of_row / voxels
    border = np.ones(labels.shape[1:], bool)
    border[1:-1, 1:-1] = False
    contacts = np.bincount(labels[:, border].ravel(), minlength=len(voxels))
    is_inner = (contacts < OUTSIDE_CONTACT * voxels ** (2 / 3)) & (front <= middle_row) & (middle_row < back)
    is_inner[0] = False
    image = sitk.GetImageFromArray(is_inner[labels].astype(np.uint8))
    image.CopyInformation(tissue)
    return image


def _large_airways(image, air):
    import SimpleITK as sitk

    dark = sitk.And(sitk.BinaryMedian(image < AIRWAY_BELOW_HU, [1, 1, 1]), air)
    if _voxels(dark) > MOST_AIRWAY_SHARE * _voxels(air):
        return dark * 0  # emphysema is as dark as an airway; better an airway too many than half a lung
    labels = sitk.ConnectedComponent(sitk.BinaryMorphologicalOpening(dark, [1, 1, 1]))
    large = sitk.RelabelComponent(labels, minimumObjectSize=LARGE_AIRWAY_VOXELS) > 0
    # The wall's partial volume goes with the airway, or it would stay as a hollow tube.
    return sitk.BinaryDilate(large, [1, 1, 1])


def _one_or_two_lungs(air):
    first, second = _two_largest_parts(air)
    if _voxels(second) < JOINED_LUNGS_SHARE * _voxels(first):
        halves = _split_where_thin(first)
        if halves is not None:
            return halves
    return [lung for lung in (first, second) if _voxels(lung) > SMALLER_LUNG_SHARE * _voxels(first)]


def _split_where_thin(lungs):
    """Two lungs that touch, mostly in front of the heart; None where there is one."""
    import SimpleITK as sitk

    distance = _distance_voxels(lungs)
    for thickness in range(1, THICKEST_JUNCTION_VOXELS + 1):
        first, second = _two_largest_parts(distance < -thickness)
        if _voxels(second) > SPLIT_LUNG_SHARE * _voxels(first):
            nearer_first = _distance_voxels(first) < _distance_voxels(second)
            return [sitk.And(lungs, nearer_first), sitk.And(lungs, sitk.Not(nearer_first))]
    return None


def _filled(lung):
    """Vessels and nodules belong to the lung, also those that dent it from its wall; the heart does not."""
    import SimpleITK as sitk

    step_mm = lung.GetSpacing()[0]
    lung = sitk.BinaryFillhole(_closed(lung, CLOSING_VOXELS))
    hull = _closed(lung, round(DENT_CLOSING_MM / step_mm))
    for scale_mm in DENT_SCALES_MM:
        share = sitk.SmoothingRecursiveGaussian(sitk.Cast(lung, sitk.sitkFloat32), scale_mm)
        lung = sitk.Or(lung, sitk.And(hull, share > 0.5))
    return sitk.BinaryFillhole(lung)


def _closed(mask, radius_voxels):
    """Closing by distances: a ball of any radius costs the same, and nothing is taken off at the faces of the image."""
    import SimpleITK as sitk

    outside = _distance_voxels(mask) > radius_voxels
    return sitk.Or(mask, _distance_voxels(outside) > radius_voxels)


def _distance_voxels(mask):
    """To the surface, negative inside; whole numbers along the axes, which millimetres would round."""
    import SimpleITK as sitk

    return sitk.SignedMaurerDistanceMap(mask, squaredDistance=False, useImageSpacing=False)


def _part_round(mask):
    """The slices in z, y, x that hold the mask and what closing can reach."""
    margin = round(DENT_CLOSING_MM / mask.GetSpacing()[0]) + 2
    low, high = _bounds_zyx(mask)
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin, mask.GetSize()[::-1])
    return tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))


def _bounds_zyx(mask):
    """Lowest and one past the highest index on each axis; zeros for an empty mask."""
    import SimpleITK as sitk

    places = np.nonzero(sitk.GetArrayViewFromImage(mask))
    if not len(places[0]):
        return np.zeros((2, 3), int)
    return np.array([[axis.min() for axis in places], [axis.max() + 1 for axis in places]])


def _voxels(mask):
    import SimpleITK as sitk

    return int(np.count_nonzero(sitk.GetArrayViewFromImage(mask)))


def _largest_part(mask):
    return _two_largest_parts(mask)[0]


def _two_largest_parts(mask):
    import SimpleITK as sitk

    parts = sitk.RelabelComponent(sitk.ConnectedComponent(mask))  # the largest is 1
    return parts == 1, parts == 2
