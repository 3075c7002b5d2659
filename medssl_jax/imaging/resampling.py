"""Volumes from one grid to another: axis by axis where the axes are parallel, as most are, by SimpleITK where not."""

from typing import NamedTuple

import numpy as np
from etils import epy
from jaxtyping import Float, Float32, Num

from medssl_jax.imaging.geometry import Grid, upright_grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.volumes import Volume

with epy.lazy_imports():
    import SimpleITK as sitk

PARALLEL_TOLERANCE = 1e-6
# Both shares of such a place are exact in 32 bits, so that a scan and its mirror image give the same values.
PLACES_PER_VOXEL = 2**20


class _Axis(NamedTuple):
    """The axis of the source that an axis of the result runs along, and the place of each voxel on it, in voxels."""

    source: int
    places: Float[np.ndarray, " n"]


def resample_linear(array_zyx: Num[np.ndarray, "z y x"], grid: Grid, onto: Grid) -> Float32[np.ndarray, "d h w"]:
    """Trilinear values of `array_zyx`, which lies on `grid`, at the voxels of `onto`; outside, those of the edge."""
    axes = _parallel_axes(grid, onto)
    if axes is None:
        resampler = _resampler(onto)
        resampler.SetInterpolator(sitk.sitkLinear)
        # ITK cuts to whole numbers what it writes as integers, so rounding is left to the caller.
        resampler.SetOutputPixelType(sitk.sitkFloat32)
        resampler.SetUseNearestNeighborExtrapolator(True)
        return sitk.GetArrayFromImage(resampler.Execute(to_image(array_zyx, grid)))
    along_z, along_y, along_x = (axis.places for axis in axes)
    values = np.transpose(array_zyx, [axis.source for axis in axes])
    # One slice at a time, which the processor's caches hold.
    slices = np.empty((len(values), len(along_y), len(along_x)), np.float32)
    for number, each in enumerate(values):
        slices[number] = _interpolated(_interpolated(each, along_y, 0), along_x, 1)
    result = np.empty((len(along_z), *slices.shape[1:]), np.float32)
    for number in range(len(along_z)):
        result[number] = _interpolated(slices, along_z[number : number + 1], 0)[0]
    return result


def resample_nearest(array_zyx: Num[np.ndarray, "z y x"], grid: Grid, onto: Grid) -> Num[np.ndarray, "d h w"]:
    """The nearest values of `array_zyx`, which lies on `grid`, at the voxels of `onto`; outside, 0."""
    axes = _parallel_axes(grid, onto)
    if axes is None:
        resampler = _resampler(onto)
        resampler.SetInterpolator(sitk.sitkNearestNeighbor)
        return sitk.GetArrayFromImage(resampler.Execute(to_image(array_zyx, grid)))
    values = np.transpose(array_zyx, [axis.source for axis in axes])
    for axis, (_, places) in enumerate(axes):
        nearest = np.floor(places + 0.5).astype(int)
        is_outside = (nearest < 0) | (nearest >= values.shape[axis])
        values = values.take(nearest, axis, mode="clip")
        np.moveaxis(values, axis, 0)[is_outside] = 0
    return values


def upright_volume(volume: Volume) -> Volume:
    """The same voxels on `upright_grid`: no value changes, and a scan and its flipped twin give the same array."""
    grid = upright_grid(volume.grid)
    if grid == volume.grid:
        return volume
    return Volume(resample_nearest(volume.array_zyx, volume.grid, grid), grid, volume.series_uid)


def to_image(array_zyx: Num[np.ndarray, "z y x"], grid: Grid) -> "sitk.Image":
    """The array as SimpleITK sees it, with its place in the world."""
    image = sitk.GetImageFromArray(array_zyx)
    image.SetSpacing(grid.spacing_zyx_mm[::-1])
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(grid.direction)
    return image


def _parallel_axes(grid: Grid, onto: Grid) -> tuple[_Axis, _Axis, _Axis] | None:
    """The z, y and x axis of `onto` in `grid`; None where they are not parallel to its axes."""
    turn_zyx = (grid.direction_matrix.T @ onto.direction_matrix)[::-1, ::-1]
    sources = np.abs(turn_zyx).argmax(axis=0)
    signs = np.sign(turn_zyx[sources, range(3)])
    turned = np.zeros((3, 3))
    turned[sources, range(3)] = signs
    if not np.allclose(turn_zyx, turned, rtol=0, atol=PARALLEL_TOLERANCE):
        return None
    first = world_xyz_mm_to_voxel_zyx(np.array([onto.origin_xyz_mm]), grid)[0]
    z, y, x = (
        _Axis(int(source), first[source] + np.arange(size) * sign * spacing_mm / grid.spacing_zyx_mm[source])
        for source, sign, size, spacing_mm in zip(sources, signs, onto.size_zyx, onto.spacing_zyx_mm, strict=True)
    )
    return z, y, x


def _interpolated(
    values: Num[np.ndarray, "..."], places: Float[np.ndarray, " n"], axis: int
) -> Float32[np.ndarray, "..."]:
    """Linear along an axis between the values, beyond them as at the first and the last."""
    places = np.rint(places.clip(0, values.shape[axis] - 1) * PLACES_PER_VOXEL) / PLACES_PER_VOXEL
    below = places.astype(int)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    share = (places - below).astype(np.float32).reshape(-1, *(1,) * (values.ndim - 1 - axis))
    result = values.take(below, axis).astype(np.float32, copy=False)
    result *= 1 - share
    result += values.take(above, axis) * share
    return result


def _resampler(onto: Grid) -> "sitk.ResampleImageFilter":
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(onto.size_zyx[::-1])
    resampler.SetOutputSpacing(onto.spacing_zyx_mm[::-1])
    resampler.SetOutputOrigin(onto.origin_xyz_mm)
    resampler.SetOutputDirection(onto.direction)
    return resampler
