"""Shapes in binary arrays: grown, opened, closed, and in parts.

What lies beyond an array takes part in nothing: no shape is taken off where the array ends.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from etils import epy
from jaxtyping import Bool, Float32, Int32

with epy.lazy_imports():
    import SimpleITK as sitk
    from scipy import ndimage

Offset = tuple[int, int, int]


def ball(radius_voxels: float, *, axes: Sequence[int] = (0, 1, 2)) -> tuple[Offset, ...]:
    """The z, y, x offsets of all voxels whose centres are at most so far away; only along `axes`."""
    reach = range(-int(radius_voxels), int(radius_voxels) + 1)
    along = (reach if axis in axes else (0,) for axis in range(3))
    return tuple((z, y, x) for z, y, x in itertools.product(*along) if z * z + y * y + x * x <= radius_voxels**2)


def grown(mask: Bool[np.ndarray, "z y x"], offsets: Sequence[Offset]) -> Bool[np.ndarray, "z y x"]:
    """Dilation: all voxels at one of `offsets` from one of the mask's."""
    result = np.zeros_like(mask)
    for offset in offsets:
        to, of = zip(*(_overlap(step, size) for step, size in zip(offset, mask.shape, strict=True)), strict=True)
        result[to] |= mask[of]
    return result


def shrunk(mask: Bool[np.ndarray, "z y x"], offsets: Sequence[Offset]) -> Bool[np.ndarray, "z y x"]:
    """Erosion: the voxels of which none at `offsets` is outside the mask."""
    return ~grown(~mask, offsets)


def closed_far(mask: Bool[np.ndarray, "z y x"], radius_voxels: int) -> Bool[np.ndarray, "z y x"]:
    """Closing by distances: a ball of any radius costs the same; a small one is cheaper by `grown` and `shrunk`."""
    outside = signed_distance_voxels(mask) > radius_voxels
    return mask | (signed_distance_voxels(outside) > radius_voxels)


def labelled_parts(mask: Bool[np.ndarray, "z y x"]) -> Int32[np.ndarray, "z y x"]:
    """Parts whose voxels share faces, numbered from 1 by size, the largest first; 0 outside the mask."""
    labels, count = ndimage.label(mask)
    voxels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    rank = np.zeros(count + 1, np.int32)
    rank[1 + np.argsort(-voxels, kind="stable")] = np.arange(1, count + 1)
    return rank[labels]


def signed_distance_voxels(mask: Bool[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
    """Distance to the mask's outermost voxels, negative inside."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, squaredDistance=False))


def box_round(mask: Bool[np.ndarray, "z y x"], margin_voxels: int) -> tuple[slice, slice, slice]:
    """The slices that hold the mask and so much around it; of an empty mask nothing."""

    def along(axis: int) -> slice:
        places = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        low, high = (places[0], places[-1] + 1) if len(places) else (0, -margin_voxels)
        return slice(max(int(low) - margin_voxels, 0), min(int(high) + margin_voxels, mask.shape[axis]))

    return along(0), along(1), along(2)


def _overlap(step: int, size: int) -> tuple[slice, slice]:
    return slice(max(step, 0), max(size + step, 0)), slice(max(-step, 0), max(size - step, 0))
