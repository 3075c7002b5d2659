"""Common parts of the headers of volume files: the grid, the place of the voxels, and numbers that are not trusted."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from medssl_jax.core.csv_files import NUMBER
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.formats.voxel_data import VoxelData
from medssl_jax.imaging.geometry import Grid, check_extent

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)  # read, so that who asks can say what is wrong
LONGEST_TEXT = 80

Fields = Mapping[str, str]  # what stands in the header, by name
Number = TypeVar("Number", int, float)
NumbersOf = Callable[[Sequence[str]], tuple[Number, ...]]  # `whole_numbers` or `decimal_numbers`


class VolumeHeader(NamedTuple):
    """The header of a volume file, checked against the length of the file."""

    grid: Grid
    voxels: VoxelData


def grid_of_header(
    path: Path,
    size_xyz: tuple[int, int, int],
    spacing_xyz_mm: Float[np.ndarray, "3"],
    origin_xyz_mm: Float[np.ndarray, "3"],
    axes: Float[np.ndarray, "3 3"],
) -> Grid:
    """The grid whose index axes x, y, z are the columns of `axes`, if a patient's; `InputError` names the file."""
    x, y, z = size_xyz
    numbers = (spacing_xyz_mm[::-1], origin_xyz_mm, axes.ravel())
    try:
        grid = Grid((z, y, x), *(tuple(each.tolist()) for each in numbers))
        check_extent(grid)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return grid


def beside(header_path: Path, name: str) -> Path:
    """The data file that a header names; `InputError` if it is not there."""
    path = header_path.parent / name
    if not os.path.isfile(path):  # unlike Path.is_file, no error where the name is too long for any file
        raise InputError(
            f"{header_path}: its data file {brief(path.name)} is missing in {header_path.parent}: copy it there too"
        )
    return path


def words_of(text: str) -> list[str]:
    """The words between ASCII white space, as in these formats; another space, as in `1\\xa0000`, separates nothing."""
    return re.findall(r"\S+", text, re.ASCII)


def whole_numbers(words: Sequence[str]) -> tuple[int, ...]:
    """Raises `ValueError` at what is not written in at most 18 ASCII digits: no 1_000, no 3.0."""
    if not all(map(WHOLE_NUMBER.fullmatch, words)):
        raise ValueError("not whole numbers")
    return tuple(map(int, words))


def decimal_numbers(words: Sequence[str]) -> tuple[float, ...]:
    """Raises `ValueError` at what is no decimal number, nan or infinity; one beyond the range of floats is infinite."""
    if not all(NUMBER.fullmatch(word) or NO_NUMBER.fullmatch(word) for word in words):
        raise ValueError("not numbers")
    return tuple(map(float, words))


def listed(numbers: Iterable[float], separator: str = ", ") -> str:
    """Numbers to the six digits that a message needs."""
    return separator.join(f"{number:.6g}" for number in numbers)


def brief(value: str) -> str:
    """A value for a message: its beginning, if it is long."""
    return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}... ({len(value)} characters)"
