"""Common parts of the headers of volume files: the fields of those in text, the grid, the place of the voxels."""

import dataclasses
import os
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from medssl_jax.core.csv_files import NUMBER
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief, some
from medssl_jax.imaging.formats.voxel_data import VoxelData
from medssl_jax.imaging.geometry import Grid, check_extent

# A number as these files may hold it: no 1_000. What is none, nan, is read, so that who asks can say what is wrong.
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
DECIMAL_NUMBER = re.compile(rf"{NUMBER.pattern}|[+-]?(nan|inf|infinity)", re.IGNORECASE)

Meaning = TypeVar("Meaning")


@dataclasses.dataclass
class TextHeader:
    """The fields of a header in text and the bytes that it takes.

    Each is checked as it is asked for; an `InputError` names the file, the field and what was expected.
    """

    path: Path
    fields: dict[str, str] = dataclasses.field(default_factory=dict)
    length: int = 0

    def add(self, name: str, value: str) -> None:
        """Adds a field, which may stand there once."""
        if name in self.fields:
            raise InputError(f"{self.path}: {name} stands twice in the header, expected once: copy the file again")
        self.fields[name] = value.strip(string.whitespace)

    def text(self, name: str) -> str:
        """The value of a field that a volume must have."""
        if name not in self.fields:
            raise InputError(f"{self.path}: no {name} in the header, expected it in a volume")
        return self.fields[name]

    def words(self, name: str, count: int) -> list[str]:
        """The words of a field, `count` in all."""
        words = words_of(self.text(name))
        if len(words) != count:
            raise self.refused(name, f"{count} words")
        return words

    def whole_numbers(self, name: str, count: int) -> tuple[int, ...]:
        """`count` numbers of at most 18 digits each."""
        return tuple(map(int, self._numbers(name, count, WHOLE_NUMBER)))

    def decimal_numbers(self, name: str, count: int) -> tuple[float, ...]:
        """`count` numbers, nan and infinity among them; one beyond the range of floats is infinite."""
        return tuple(map(float, self._numbers(name, count, DECIMAL_NUMBER)))

    def sizes(self, name: str, count: int) -> tuple[int, ...]:
        """`count` numbers of voxels, each at least 1."""
        sizes = self.whole_numbers(name, count)
        if min(sizes) < 1:
            raise self.refused(name, "at least 1 voxel on each axis")
        return sizes

    def choice(self, name: str, meanings: Mapping[str, Meaning]) -> Meaning:
        """The meaning of a field's value in lower case."""
        value = self.text(name).lower()
        if value not in meanings:
            raise self.refused(name, f"one of {some(list(meanings), most=6)}: convert it")
        return meanings[value]

    def refused(self, name: str, expected: str) -> InputError:
        """The error that a field is not as expected."""
        return InputError(f"{self.path}: {name} = {brief(self.fields[name])}, expected {expected}")

    def _numbers(self, name: str, count: int, pattern: re.Pattern[str]) -> list[str]:
        words = words_of(self.text(name))
        if len(words) != count or not all(map(pattern.fullmatch, words)):
            raise self.refused(name, f"{count} numbers")
        return words


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


def lines_of(start: bytes, position: int = 0) -> Iterator[tuple[str, int]]:
    """Yields each line from `position` on, and where the next one begins; the last line may lack its end."""
    while position < len(start):
        end = start.find(b"\n", position) % (len(start) + 1)
        line, position = start[position:end], end + 1
        yield line.decode("utf-8", "surrogateescape"), position


def listed(numbers: Iterable[float], separator: str = ", ") -> str:
    """Numbers to the six digits that a message needs."""
    return separator.join(f"{number:.6g}" for number in numbers)
