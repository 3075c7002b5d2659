"""Volumes from one grid to another, by SimpleITK."""

import numpy as np
from etils import epy
from jaxtyping import Float32, Num

from medssl_jax.imaging.geometry import Grid

with epy.lazy_imports():
    import SimpleITK as sitk


def resample_linear(array_zyx: Num[np.ndarray, "z y x"], grid: Grid, onto: Grid) -> Float32[np.ndarray, "d h w"]:
    """Trilinear values of `array_zyx`, which lies on `grid`, at the voxels of `onto`; outside, those of the edge."""
    resampler = _resampler(onto)
    resampler.SetInterpolator(sitk.sitkLinear)
    # ITK cuts to whole numbers what it writes as integers, so rounding is left to the caller.
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    resampler.SetUseNearestNeighborExtrapolator(True)
    return sitk.GetArrayFromImage(resampler.Execute(to_image(array_zyx, grid)))


def resample_nearest(array_zyx: Num[np.ndarray, "z y x"], grid: Grid, onto: Grid) -> Num[np.ndarray, "d h w"]:
    """The nearest values of `array_zyx`, which lies on `grid`, at the voxels of `onto`; outside, 0."""
    resampler = _resampler(onto)
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    return sitk.GetArrayFromImage(resampler.Execute(to_image(array_zyx, grid)))


def to_image(array_zyx: Num[np.ndarray, "z y x"], grid: Grid) -> "sitk.Image":
    """The array as SimpleITK sees it, with its place in the world."""
    image = sitk.GetImageFromArray(array_zyx)
    image.SetSpacing(grid.spacing_zyx_mm[::-1])
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(grid.direction)
    return image


def _resampler(onto: Grid) -> "sitk.ResampleImageFilter":
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(onto.size_zyx[::-1])
    resampler.SetOutputSpacing(onto.spacing_zyx_mm[::-1])
    resampler.SetOutputOrigin(onto.origin_xyz_mm)
    resampler.SetOutputDirection(onto.direction)
    return resampler
