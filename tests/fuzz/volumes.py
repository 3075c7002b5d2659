"""What the kinds of volume files share: the volume that is written, and how a reading of it is judged."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float, Num

from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import EXTENSIONS, Volume, read_grid, read_volume
from tests.fuzz.oracle import MustRefuse, Wrong, judged

SIZE_ZYX = (6, 7, 9)
SPACING_ZYX_MM = (2.5, 0.75, 0.625)
ORIGIN_XYZ_MM = (-100.5, 20.25, -300.0)
# Turned round every axis, so that no header field is without effect.
DIRECTION = (0.36, 0.48, -0.8, -0.8, 0.6, 0.0, 0.48, 0.64, 0.6)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
HEADER_PRECISION = 3e-5  # geometry is float32 there, or few digits


@dataclasses.dataclass(frozen=True)
class Content:
    """What a volume file says, by the oracle's own reader."""

    array_zyx: Num[np.ndarray, "z y x"]
    spacing_zyx_mm: Float[np.ndarray, " 3"]
    origin_xyz_mm: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]


def hounsfield_units(dtype: str = "<i2") -> Num[np.ndarray, "z y x"]:
    """Voxels that all differ from their neighbours."""
    return np.random.default_rng(0).integers(-1000, 1000, SIZE_ZYX).astype(dtype)


def as_image(array_zyx: Num[np.ndarray, "z y x"]):
    """The voxels as SimpleITK's image on the grid of this module."""
    image = sitk.GetImageFromArray(array_zyx)
    image.SetSpacing(SPACING_ZYX_MM[::-1])
    image.SetOrigin(ORIGIN_XYZ_MM)
    image.SetDirection(DIRECTION)
    return image


def numbers_in(text: str, count: int, name: str) -> tuple[float, ...]:
    """So many finite numbers as the format spells them."""
    words = text.split()
    if len(words) != count or not all(NUMBER.fullmatch(word) for word in words):
        raise MustRefuse(f"{name} is {text[:60]!r}, not {count} numbers")
    values = tuple(map(float, words))
    if not np.isfinite(values).all():
        raise MustRefuse(f"{name} is {text[:60]!r}, not finite")
    return values


def integers_in(text: str, count: int, name: str) -> tuple[int, ...]:
    """So many whole numbers."""
    words = text.split()
    if len(words) != count or not all(re.fullmatch(r"[+-]?\d+", word, re.ASCII) for word in words):
        raise MustRefuse(f"{name} is {text[:60]!r}, not {count} whole numbers")
    return tuple(map(int, words))


def voxels(data: bytes, dtype: np.dtype, size_zyx: tuple[int, ...]) -> Num[np.ndarray, "z y x"]:
    """The voxels of just that many bytes."""
    if min(size_zyx) < 1:
        raise MustRefuse(f"its size is {size_zyx}")
    wanted = dtype.itemsize
    for size in size_zyx:
        wanted *= size
    if len(data) != wanted:
        raise MustRefuse(f"it holds {len(data)} bytes of voxels where the header asks for {wanted}")
    return np.frombuffer(data, dtype).reshape(size_zyx)


def path_in(folder: Path) -> Path:
    """Where the header of the folder's one volume lies; one that is gone was a .mhd."""
    return next((path for path in folder.iterdir() if path.name.endswith(EXTENSIONS)), folder / "scan.mhd")


def read(folder: Path) -> Volume:
    """The one volume of a folder: its grid from the header alone, and all of it."""
    path = path_in(folder)
    grid = read_grid(path)
    volume = read_volume(path)
    if grid != volume.grid:
        raise Wrong(f"the header alone gives {grid}, the volume {volume.grid}")
    return volume


def judge(expected, damaged: Path, valid: Path, reading, read=read) -> str:
    """See `judged`; `expected` gives the `Content` of the folder."""
    return judged(
        lambda folder: as_read(expected(folder)),
        lambda folder: plain(read(folder)),
        damaged,
        valid,
        plain(reading),
        tolerance=HEADER_PRECISION,
    )


def as_read(content: Content):
    """What `read_volume` must make of it: whole HU that 16 bits hold, on a grid that is one."""
    array = content.array_zyx
    if not np.isfinite(array).all() or array.min() < -(2**15) or array.max() >= 2**15:
        raise MustRefuse(f"values reach from {array.min()} to {array.max()}")
    spacing, origin, axes = content.spacing_zyx_mm, content.origin_xyz_mm, content.axes
    if not (np.isfinite(spacing).all() and (spacing > 0).all() and np.isfinite(origin).all()):
        raise MustRefuse(f"spacing is {spacing}, origin {origin}")
    if not np.isfinite(axes).all() or np.abs(axes.T @ axes - np.eye(3)).max() > 3e-3:
        raise MustRefuse(f"its axes are {axes.tolist()}")
    return _named(np.rint(array).astype(np.int16), spacing, origin, axes.ravel())


def plain(volume: Volume):
    """A volume in the form of `as_read`."""
    grid: Grid = volume.grid
    return _named(volume.array_zyx, *map(np.array, (grid.spacing_zyx_mm, grid.origin_xyz_mm, grid.direction)))


def _named(voxels, spacing, origin, direction):
    return {"voxels": voxels, "spacing": spacing, "origin": origin, "direction": direction}
