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
BODY_OPENING_VOXELS = 2  # takes the couch off the back, keeps the thinnest chest wall
CLOSING_MM = 10  # nodules on the pleura and vessels at the hilum belong to the lungs
LARGE_AIRWAY_VOXELS = 125
MOST_AIRWAY_SHARE = 0.1
SMALLER_LUNG_SHARE = 0.1
OUTSIDE_CONTACT = 0.3


def segment_lungs(volume: Volume) -> UInt8[np.ndarray, "z y x"]:
    """A mask of 0 and 1 on the grid of `volume`: one or two lungs, filled, without trachea and large bronchi.

    Cut faces in z may go through the lungs, and a crop may hold one lung only. All zeros where no lung is found.
    """
    import SimpleITK as sitk

    grid = _working_grid(volume.grid)
    image = to_image(resample_linear(np.clip(volume.array_zyx, *HU_RANGE), volume.grid, grid), grid)
    tissue = image > TISSUE_ABOVE_HU
    body = _largest_part(sitk.BinaryMorphologicalOpening(tissue, [BODY_OPENING_VOXELS] * 3))
    air = sitk.And(sitk.Not(tissue), _inner_parts(sitk.Not(body)))
    mask = np.zeros(grid.size_zyx, np.uint8)
    for lung in _one_or_two_lungs(sitk.And(air, sitk.Not(_large_airways(image, air)))):
        # One lung at a time, or closing would bridge the mediastinum.
        closed = sitk.BinaryMorphologicalClosing(lung, [round(CLOSING_MM / grid.spacing_zyx_mm[0])] * 3)
        mask |= sitk.GetArrayFromImage(sitk.BinaryFillhole(closed))
    return resample_nearest(mask, grid, volume.grid)


def _working_grid(grid):
    upright = upright_grid(grid)
    across_mm = max(np.multiply(upright.size_zyx, upright.spacing_zyx_mm)[1:])
    return isotropic_grid(upright, float(np.clip(across_mm / WORKING_VOXELS_ACROSS, *WORKING_SPACING_MM)))


def _one_or_two_lungs(air):
    import SimpleITK as sitk

    parts = sitk.RelabelComponent(sitk.ConnectedComponent(air))  # the largest is 1
    lungs = [parts == 1, parts == 2]
    least = SMALLER_LUNG_SHARE * _voxels(lungs[0])
    return [lung for lung in lungs if _voxels(lung) > least]


def _inner_parts(not_body):
    """What lies in the body: outside air runs along the image border, a lung meets it with a cut bronchus at most."""
    import SimpleITK as sitk

    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(not_body))
    volumes = np.bincount(labels.ravel())
    border = np.ones(labels.shape[1:], bool)
    border[1:-1, 1:-1] = False
    contacts = np.bincount(labels[:, border].ravel(), minlength=len(volumes))
    inner = contacts < OUTSIDE_CONTACT * volumes ** (2 / 3)
    inner[0] = False
    image = sitk.GetImageFromArray(inner[labels].astype(np.uint8))
    image.CopyInformation(not_body)
    return image


def _large_airways(image, air):
    import SimpleITK as sitk

    dark = sitk.And(sitk.Median(image, [1, 1, 1]) < AIRWAY_BELOW_HU, air)
    if _voxels(dark) > MOST_AIRWAY_SHARE * _voxels(air):
        return dark * 0  # emphysema is as dark as an airway; better an airway too many than half a lung
    labels = sitk.ConnectedComponent(sitk.BinaryMorphologicalOpening(dark, [1, 1, 1]))
    large = sitk.RelabelComponent(labels, minimumObjectSize=LARGE_AIRWAY_VOXELS) > 0
    # The wall's partial volume goes with the airway, or it would stay as a hollow tube.
    return sitk.BinaryDilate(large, [1, 1, 1])


def _voxels(mask):
    import SimpleITK as sitk

    return int(np.count_nonzero(sitk.GetArrayViewFromImage(mask)))


def _largest_part(mask):
    import SimpleITK as sitk

    return sitk.RelabelComponent(sitk.ConnectedComponent(mask)) == 1
