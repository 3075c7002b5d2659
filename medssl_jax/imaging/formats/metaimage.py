"""MetaImage files (.mhd, .mha): what the header says, where the voxels are, and the header that we write.

ITK's reader makes 0 of an offset that is no number, repairs a negative spacing without a word, and fills what a damaged
.zraw lacks with whatever lies in memory; so the header is read here, and its grid is the one that ITK sees in it.

The format: https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.formats.header import TextHeader, VolumeHeader, beside, grid_of_header, lines_of
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
IS_TRUE = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
# Names of the same in files of different age.
SPACING_FIELDS = ("ElementSpacing", "ElementSize")
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
    header = _read(path)
    header.text("NDims")  # which must be there
    for name, values in ONLY_READ_WITH.items():
        if header.fields.get(name, values[0]) not in values:
            raise header.refused(name, f"{values[0]}: convert it")
    x, y, z = header.sizes("DimSize", 3)
    voxels = _voxel_data(header, (x, y, z))
    return VolumeHeader(_grid(header, (x, y, z)), voxels)


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


def _read(path: Path) -> TextHeader:
    """The header's lines of NAME = VALUE up to the one that names the data."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    header = TextHeader(path)
    for line, header.length in lines_of(start):
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"\s*\w+\s*", name, re.ASCII):
            raise InputError(f"{path}: not a MetaImage header: line {len(header.fields) + 1} is not NAME = VALUE")
        header.add(name.strip(), value)
        if "ElementDataFile" in header.fields:
            return header
    raise InputError(f"{path}: the header ends without ElementDataFile: copy the file again")


def _voxel_data(header: TextHeader, size_xyz: tuple[int, int, int]) -> VoxelData:
    if not _is_true(header, "BinaryData", default=True):
        raise header.refused("BinaryData", "binary data: save it as a binary MetaImage")
    element, name = header.text("ElementType"), header.text("ElementDataFile")
    if element not in DTYPE_OF_ELEMENT:
        raise header.refused("ElementType", "one number a voxel such as MET_SHORT")
    is_local = name.upper() == "LOCAL"
    is_big_endian = any(_is_true(header, order) for order in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    data = VoxelData(
        path=header.path if is_local else beside(header.path, name),
        offset=header.length if is_local else 0,
        dtype=np.dtype(DTYPE_OF_ELEMENT[element]).newbyteorder(">" if is_big_endian else "<"),
        size_zyx=size_xyz[::-1],
        claim=f"DimSize {' x '.join(map(str, size_xyz))} of {element}",
        is_compressed=_is_true(header, "CompressedData"),
    )
    if "HeaderSize" in header.fields:
        data = _after_header(header, data)
    check_length(data)
    if data.is_compressed and "CompressedDataSize" in header.fields:
        _check_compressed_size(header, data)
    return data


def _after_header(header: TextHeader, data: VoxelData) -> VoxelData:
    """The voxels behind a header of `HeaderSize` bytes; -1 is MetaImage's word for "what the file ends with"."""
    (skipped,) = header.whole_numbers("HeaderSize", 1)
    if skipped < (0 if data.is_compressed else -1):
        raise header.refused("HeaderSize", "0 or more, or -1 for data that is not compressed")
    at_the_end = max(0, data.path.stat().st_size - data.byte_count)
    return dataclasses.replace(data, offset=at_the_end if skipped == -1 else data.offset + skipped)


def _check_compressed_size(header: TextHeader, data: VoxelData) -> None:
    (expected,) = header.whole_numbers("CompressedDataSize", 1)
    found = data.path.stat().st_size - data.offset
    if found != expected:
        what = "truncated: " if found < expected else ""
        raise InputError(
            f"{data.path}: {what}{found} bytes of data, expected {expected} (CompressedDataSize): copy the file again"
        )


def _grid(header: TextHeader, size_xyz: tuple[int, int, int]) -> Grid:
    spacing_field = next((name for name in SPACING_FIELDS if name in header.fields), SPACING_FIELDS[0])
    spacing = header.decimal_numbers(spacing_field, 3)
    check_spacing(spacing, f"{header.path}: ElementSpacing")
    origin = _one_of(header, ORIGIN_FIELDS, (0.0, 0.0, 0.0))
    axes = _one_of(header, DIRECTION_FIELDS, IDENTITY_DIRECTION)
    # MetaImage lists the axes one after the other, a grid as columns.
    return grid_of_header(header.path, size_xyz, np.array(spacing), np.array(origin), np.reshape(axes, (3, 3)).T)


def _one_of(header: TextHeader, names: Sequence[str], default: tuple[float, ...]) -> tuple[float, ...]:
    """The numbers of the fields in `names` that are there."""
    given = {name: header.decimal_numbers(name, len(default)) for name in names if name in header.fields}
    if len(set(given.values())) > 1:
        raise InputError(f"{header.path}: {' and '.join(given)} differ, expected one of them: take the wrong one out")
    return next(iter(given.values()), default)


def _is_true(header: TextHeader, name: str, default: bool = False) -> bool:
    return header.choice(name, IS_TRUE) if name in header.fields else default


def _side_it_comes_from(axis_xyz: Float[np.ndarray, "3"]) -> str:
    """R for an index axis that runs from right to left."""
    world_axis = int(np.argmax(np.abs(axis_xyz)))
    return ("RL", "AP", "IS")[world_axis][int(axis_xyz[world_axis] < 0)]


def _join(numbers: Iterable[float | int]) -> str:
    return " ".join(repr(float(each)).removesuffix(".0") for each in numbers)
