"""MetaImage files (.mhd, .mha): what the header says, where the voxels are, and the header that we write.

ITK's reader makes 0 of an offset that is no number, repairs a negative spacing without a word, and fills what a damaged
.zraw lacks with whatever lies in memory; so the header is read here, and its grid is the one that ITK sees in it.

The format: https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

import dataclasses
import re
import string
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.formats.header import (
    Fields,
    Number,
    NumbersOf,
    VolumeHeader,
    beside,
    brief,
    decimal_numbers,
    grid_of_header,
    whole_numbers,
    words_of,
)
from medssl_jax.imaging.formats.voxel_data import VoxelData, check_length
from medssl_jax.imaging.geometry import IDENTITY_DIRECTION, Grid, check_spacing

DTYPE_OF_ELEMENT = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
LONGEST_HEADER = 1 << 16
# Names of the same in files of different age.
ORIGIN_FIELDS = ("Offset", "Position", "Origin", "ImagePosition")
DIRECTION_FIELDS = ("TransformMatrix", "Orientation", "Rotation")
# What would change the voxels or their place, and is not read.
ONLY_READ_WITH = {
    "NDims": ("3",),
    "FileFormatVersion": ("0",),
    "ElementNumberOfChannels": ("1",),
    "ElementToIntensityFunctionSlope": ("1", "1.0"),
    "ElementToIntensityFunctionOffset": ("0", "0.0"),
    "DistanceUnits": ("mm", "?"),
}


def read_header(path: Path) -> VolumeHeader:
    """Raises `InputError` if it is not that of a volume, or the voxels are missing or not as long as it says."""
    fields, header_bytes = _fields(path)
    if "NDims" not in fields:
        raise InputError(f"{path}: no NDims in the header, expected NDims = 3")
    for name, values in ONLY_READ_WITH.items():
        if fields.get(name, values[0]) not in values:
            raise InputError(f"{path}: {name} = {brief(fields[name])}, expected {values[0]}: convert it")
    x, y, z = _numbers(path, fields, whole_numbers, 3, "DimSize")
    size_xyz = (x, y, z)
    if min(size_xyz) < 1:
        raise InputError(f"{path}: DimSize = {brief(fields['DimSize'])}, expected at least 1 voxel on each axis")
    voxels = _voxel_data(path, fields, size_xyz, header_bytes)
    return VolumeHeader(_grid(path, fields, size_xyz), voxels)


def header_text(grid: Grid, dtype: np.dtype, data_name: str, compressed_bytes: int | None) -> str:
    """The header of LUNA16's files; `compressed_bytes` is None for raw data."""
    axes_xyz = grid.direction_matrix.T  # MetaImage lists the axes one after the other, ITK as columns
    is_compressed = compressed_bytes is not None
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(is_compressed),
        **({"CompressedDataSize": str(compressed_bytes)} if is_compressed else {}),
        "TransformMatrix": _join(axes_xyz.ravel()),
        "Offset": _join(grid.origin_xyz_mm),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "".join(map(_side_it_comes_from, axes_xyz)),
        "ElementSpacing": _join(grid.spacing_zyx_mm[::-1]),
        "DimSize": _join(grid.size_zyx[::-1]),
        "ElementType": next(name for name, code in DTYPE_OF_ELEMENT.items() if np.dtype(code) == dtype),
        "ElementDataFile": data_name,
    }
    return "".join(f"{key} = {value}\n" for key, value in fields.items())


def _fields(path: Path) -> tuple[Fields, int]:
    """The `NAME = VALUE` lines of the header, and the number of bytes they take."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        if position >= len(start):
            raise InputError(f"{path}: the header ends without ElementDataFile: copy the file again")
        end = start.find(b"\n", position) % (len(start) + 1)  # the last line may lack its end
        line = start[position:end].decode("utf-8", "surrogateescape")
        name, equals, value = (part.strip(string.whitespace) for part in line.partition("="))
        if not equals or not re.fullmatch(r"\w+", name, re.ASCII):
            raise InputError(f"{path}: not a MetaImage header: line {len(fields) + 1} is not NAME = VALUE")
        if name in fields:
            raise InputError(f"{path}: {name} stands twice in the header, expected once: copy the file again")
        fields[name] = value
        position = end + 1
    return fields, position


def _voxel_data(path: Path, fields: Fields, size_xyz: tuple[int, int, int], header_bytes: int) -> VoxelData:
    if not _is_true(path, fields, "BinaryData", default="True"):
        raise InputError(f"{path}: BinaryData = False, expected binary data: save it as a binary MetaImage")
    element = fields.get("ElementType", "absent")
    if element not in DTYPE_OF_ELEMENT:
        raise InputError(f"{path}: ElementType = {brief(element)}, expected one number a voxel such as MET_SHORT")
    is_local = fields["ElementDataFile"].upper() == "LOCAL"
    is_big_endian = any(_is_true(path, fields, name) for name in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    data = VoxelData(
        path=path if is_local else beside(path, fields["ElementDataFile"]),
        offset=header_bytes if is_local else 0,
        dtype=np.dtype(DTYPE_OF_ELEMENT[element]).newbyteorder(">" if is_big_endian else "<"),
        size_zyx=size_xyz[::-1],
        claim=f"DimSize {' x '.join(map(str, size_xyz))} of {element}",
        is_compressed=_is_true(path, fields, "CompressedData"),
    )
    if "HeaderSize" in fields:
        data = _after_header(path, fields, data)
    check_length(data)
    if data.is_compressed and "CompressedDataSize" in fields:
        _check_compressed_size(path, fields, data)
    return data


def _after_header(path: Path, fields: Fields, data: VoxelData) -> VoxelData:
    """The voxels behind a header of `HeaderSize` bytes; -1 is MetaImage's word for "what the file ends with"."""
    (skipped,) = _numbers(path, fields, whole_numbers, 1, "HeaderSize")
    if skipped < (0 if data.is_compressed else -1):
        raise InputError(f"{path}: HeaderSize = {skipped}, expected 0 or more, or -1 for data that is not compressed")
    at_the_end = max(0, data.path.stat().st_size - data.byte_count)
    return dataclasses.replace(data, offset=at_the_end if skipped == -1 else data.offset + skipped)


def _check_compressed_size(path: Path, fields: Fields, data: VoxelData) -> None:
    (expected,) = _numbers(path, fields, whole_numbers, 1, "CompressedDataSize")
    found = data.path.stat().st_size - data.offset
    if found != expected:
        what = "truncated: " if found < expected else ""
        raise InputError(
            f"{data.path}: {what}{found} bytes of data, expected {expected} (CompressedDataSize): copy the file again"
        )


def _grid(path: Path, fields: Fields, size_xyz: tuple[int, int, int]) -> Grid:
    spacing = _numbers(path, fields, decimal_numbers, 3, "ElementSpacing", "ElementSize")
    check_spacing(spacing, f"{path}: ElementSpacing")
    origin = _one_of(path, fields, ORIGIN_FIELDS, (0.0, 0.0, 0.0))
    axes = _one_of(path, fields, DIRECTION_FIELDS, IDENTITY_DIRECTION)
    # MetaImage lists the axes one after the other, a grid as columns.
    return grid_of_header(path, size_xyz, np.array(spacing), np.array(origin), np.reshape(axes, (3, 3)).T)


def _one_of(path: Path, fields: Fields, names: Sequence[str], default: tuple[float, ...]) -> tuple[float, ...]:
    """The numbers of the fields in `names` that are there."""
    given = {name: _numbers(path, fields, decimal_numbers, len(default), name) for name in names if name in fields}
    if len(set(given.values())) > 1:
        raise InputError(f"{path}: {' and '.join(given)} differ, expected one of them: take the wrong one out")
    return next(iter(given.values()), default)


def _numbers(path: Path, fields: Fields, kind: NumbersOf[Number], count: int, *names: str) -> tuple[Number, ...]:
    name = next((each for each in names if each in fields), None)
    if name is None:
        raise InputError(f"{path}: no {names[0]} in the header, expected {count} numbers")
    try:
        numbers = kind(words_of(fields[name]))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"{path}: {name} = {brief(fields[name])}, expected {count} numbers")
    return numbers


def _is_true(path: Path, fields: Fields, name: str, default: str = "False") -> bool:
    value = fields.get(name, default)
    if value.lower() not in ("true", "t", "1", "false", "f", "0"):
        raise InputError(f"{path}: {name} = {brief(value)}, expected True or False: copy the file again")
    return value.lower() in ("true", "t", "1")


def _side_it_comes_from(axis_xyz: Float[np.ndarray, "3"]) -> str:
    """R for an index axis that runs from right to left."""
    world_axis = int(np.argmax(np.abs(axis_xyz)))
    return ("RL", "AP", "IS")[world_axis][int(axis_xyz[world_axis] < 0)]


def _join(numbers: Iterable[float | int]) -> str:
    return " ".join(repr(float(each)).removesuffix(".0") for each in numbers)
