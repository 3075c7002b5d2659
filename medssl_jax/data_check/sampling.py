"""Volumes known by their headers and a few slices, without reading the rest."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
from jaxtyping import Num

from medssl_jax.imaging.dicom.pixels import read_slice
from medssl_jax.imaging.dicom.series import read_series
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, read_header, read_volume

SAMPLED_SLICES = 9  # first and last among them
PADDING_BELOW_HU = -1100  # what scanners measure in air reaches down to about here
PADDING_LEAST_SHARE = 0.001


@dataclasses.dataclass(frozen=True)
class VolumeSample:
    """The grid of a volume and what its sampled slices hold.

    `lowest_hu` and `highest_hu` leave out `padding_hu`, the value outside the field of view, which is None where there
    is none. Volumes of the same voxels have the same `digest`, whatever their names and headers.
    """

    grid: Grid
    lowest_hu: float
    highest_hu: float
    padding_hu: int | None
    padding_share: float
    has_nan: bool
    digest: str


def sample_volume(path: str | os.PathLike[str], series_uid: str | None = None) -> VolumeSample:
    """Samples a file or folder that `medssl_jax.imaging.volumes.read_volume` reads, and raises `InputError` as it does.

    Of a raw MetaImage and of a DICOM series only the sampled slices are read; everything else is read whole.
    """
    path = Path(path)
    if path.is_dir():
        series = read_series(path, series_uid)
        planes = [read_slice(series.headers[index]) for index in sampled_slices(len(series.headers))]
        return summarise(np.stack(planes), series.grid)
    grid, data = read_header(path)
    if data.is_compressed or path.suffix.lower() not in (".mhd", ".mha"):
        return sample_of_volume(read_volume(path))
    voxels = np.memmap(data.path, data.dtype, mode="r", offset=data.offset, shape=data.size_zyx)
    return summarise(np.asarray(voxels[sampled_slices(len(voxels))]), grid)


def sample_of_volume(volume: Volume) -> VolumeSample:
    """The same of one that is read already."""
    return summarise(volume.array_zyx[sampled_slices(len(volume.array_zyx))], volume.grid)


def sampled_slices(count: int) -> list[int]:
    """Up to `SAMPLED_SLICES` of `count` slices, evenly spread."""
    return np.unique(np.linspace(0, count - 1, SAMPLED_SLICES).round().astype(int)).tolist()


def summarise(planes_zyx: Num[np.ndarray, "n y x"], grid: Grid) -> VolumeSample:
    """The sample of a volume on `grid` of which `planes_zyx` are the sampled slices."""
    padding_hu, share = _padding(planes_zyx)
    inside = planes_zyx if padding_hu is None else planes_zyx[planes_zyx != padding_hu]
    has_values = inside.size > 0 and not np.isnan(inside).all()
    return VolumeSample(
        grid=grid,
        lowest_hu=float(np.nanmin(inside)) if has_values else float("nan"),
        highest_hu=float(np.nanmax(inside)) if has_values else float("nan"),
        padding_hu=padding_hu,
        padding_share=share,
        has_nan=bool(np.isnan(planes_zyx).any()),
        digest=hashlib.blake2b(
            repr(grid.size_zyx).encode() + np.ascontiguousarray(planes_zyx).astype("<f4").tobytes(), digest_size=16
        ).hexdigest(),
    )


def _padding(planes: Num[np.ndarray, "n y x"]) -> tuple[int | None, float]:
    lowest = np.nanmin(planes) if not np.isnan(planes).all() else 0
    share = float((planes == lowest).mean())
    is_padding = lowest < PADDING_BELOW_HU and share >= PADDING_LEAST_SHARE
    return (int(lowest), share) if is_padding else (None, 0.0)
