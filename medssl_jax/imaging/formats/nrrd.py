"""NRRD files (.nrrd): what the header says, and where the voxels are, be it in the file itself or in one beside it.

Neither ITK's reader nor pynrrd fits: ITK's crashes where a number has a thousand digits; pynrrd leaves checksums alone
and decompresses whatever a file becomes.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

import math
import re
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief
from medssl_jax.imaging.formats.header import (
    DECIMAL_NUMBER,
    TextHeader,
    VolumeHeader,
    beside,
    grid_of_header,
    lines_of,
    words_of,
)
from medssl_jax.imaging.formats.voxel_data import VoxelData, check_length
from medssl_jax.imaging.geometry import Grid, check_spacing

MAGIC = re.compile(rb"NRRD000[1-5]\s*")
LONGEST_HEADER = 1 << 20  # segmentations carry a few lines a segment
# Old files have no space in a name.
FIELD_OF_NAME = {
    field.replace(" ", ""): field
    for field in (
        *("content", "number", "type", "block size", "dimension", "space", "space dimension", "sizes", "spacings"),
        *("thicknesses", "axis mins", "axis maxs", "space directions", "centers", "centerings", "kinds", "labels"),
        *("units", "min", "max", "old min", "old max", "endian", "encoding", "line skip", "byte skip"),
        *("sample units", "space units", "space origin", "measurement frame", "data file"),
    )
}
DTYPE_OF_TYPE = {
    name: code
    for code, names in {
        "i1": "signed char, int8, int8_t",
        "u1": "uchar, unsigned char, uint8, uint8_t",
        "i2": "short, short int, signed short, signed short int, int16, int16_t",
        "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
        "i4": "int, signed int, int32, int32_t",
        "u4": "uint, unsigned int, uint32, uint32_t",
        "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
        "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(", ")
}
# Of left, posterior, superior. A scanner's own axes are taken for these, as ITK does; it mirrors LAS.
LPS_SIGNS_OF_SPACE = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "scanner-xyz": (1, 1, 1),
    "3d-right-handed": (1, 1, 1),
    "3d-left-handed": (1, 1, 1),
}
KINDS_OF_SPATIAL_AXES = ("domain", "space", "time", "none", "???")
IS_COMPRESSED = {"raw": False, "gzip": True, "gz": True}
BYTE_ORDER_OF_ENDIAN = {"little": "<", "big": ">"}
MILLIMETRES = ("", "mm", "millimeter", "millimeters", "millimetre", "millimetres")
VECTOR = re.compile(r"\([^()]*\)|none")
COMMA = re.compile(r"\s*,\s*", re.ASCII)

# Spacing, origin, and directions as columns.
Axes = tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], Float[np.ndarray, "3 3"]]


def read_header(path: Path) -> VolumeHeader:
    """Raises `InputError` if it is not that of a volume, or the voxels are missing or not as long as it says."""
    header = _read(path)
    sizes, axes = _sizes_and_axes(header)
    x, y, z = (sizes[axis] for axis in axes)
    size_xyz = (x, y, z)
    dtype = _dtype(header)
    is_compressed = header.choice("encoding", IS_COMPRESSED)
    is_beside = "data file" in header.fields
    data_path = beside(path, _data_file_name(header)) if is_beside else path
    offset = _after_lines(data_path, 0 if is_beside else header.length, _skip(header, "line skip"))
    byte_skip = _skip(header, "byte skip", least=0 if is_compressed else -1)
    if byte_skip == -1:  # NRRD's word for "the voxels are what the file ends with"
        offset = max(0, data_path.stat().st_size - math.prod(size_xyz) * dtype.itemsize)
    elif not is_compressed:
        offset += byte_skip
    data = VoxelData(
        path=data_path,
        offset=offset,
        dtype=dtype,
        size_zyx=size_xyz[::-1],
        claim=f"sizes {' x '.join(map(str, size_xyz))} of {header.fields['type']}",
        is_compressed=is_compressed,
        bytes_before=byte_skip if is_compressed else 0,
    )
    check_length(data)
    return VolumeHeader(_grid(header, size_xyz, axes), data)


def _read(path: Path) -> TextHeader:
    """The header's lines of FIELD: VALUE."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    first, _, _ = start.partition(b"\n")
    if not MAGIC.fullmatch(first):
        raise InputError(f"{path}: cannot be read: no NRRD header, expected NRRD0001 to NRRD0005 in its first line")
    header = TextHeader(path)
    for line, header.length in lines_of(start, len(first) + 1):
        line = line.removesuffix("\r")
        if not line:
            return header
        if line.startswith("#"):
            continue
        name, separator, value = line.partition(": ")
        field = FIELD_OF_NAME.get(name.lower().replace(" ", ""))
        if separator and field:
            header.add(field, value)
        elif ":=" not in line:
            raise InputError(f"{path}: cannot be read: header line {brief(line)!r} is not FIELD: VALUE of the format")
    if "data file" not in header.fields:
        raise InputError(f"{path}: the header does not end within {len(start)} bytes: copy the file again")
    return header


def _sizes_and_axes(header: TextHeader) -> tuple[tuple[int, ...], list[int]]:
    """The size of every axis, and which three of them are those of the volume: x, y, z."""
    (rank,) = header.whole_numbers("dimension", 1)
    if not 1 <= rank <= 16:
        raise InputError(f"{header.path}: {rank} dimensions, expected a volume of 3")
    sizes = header.sizes("sizes", rank)
    kinds = header.words("kinds", rank) if "kinds" in header.fields else ["domain"] * rank
    axes = [axis for axis, kind in enumerate(kinds) if kind.lower() in KINDS_OF_SPATIAL_AXES]
    if len(axes) != 3:
        raise InputError(f"{header.path}: {len(axes)} dimensions, expected a volume of 3")
    numbers_a_voxel = math.prod(sizes) // math.prod(sizes[axis] for axis in axes)
    if numbers_a_voxel != 1:
        raise InputError(f"{header.path}: {numbers_a_voxel} numbers a voxel, expected 1")
    return sizes, axes


def _dtype(header: TextHeader) -> np.dtype:
    code = header.choice("type", DTYPE_OF_TYPE)
    return np.dtype(code if np.dtype(code).itemsize == 1 else header.choice("endian", BYTE_ORDER_OF_ENDIAN) + code)


def _data_file_name(header: TextHeader) -> str:
    name = header.fields["data file"]
    if re.match(r"(SKIP)?LIST\b", name) or re.search(r"%\d*d", name):
        raise header.refused("data file", "one file: save the volume in one")
    return name


def _after_lines(path: Path, offset: int, count: int) -> int:
    """The offset of what follows `count` lines."""
    with path.open("rb") as file:
        file.seek(offset)
        for _ in range(count):
            if not file.readline():
                break
        return file.tell()


def _skip(header: TextHeader, name: str, least: int = 0) -> int:
    if name not in header.fields:
        return 0
    (count,) = header.whole_numbers(name, 1)
    if count < least:
        raise header.refused(name, f"at least {least} for {header.fields['encoding']} data")
    return count


def _grid(header: TextHeader, size_xyz: tuple[int, int, int], axes: Sequence[int]) -> Grid:
    for name in ("space units", "units"):
        units = re.findall(r'"([^"]*)"', header.fields.get(name, ""))
        others = [unit for unit in units if unit.lower() not in MILLIMETRES]
        if others:
            raise InputError(f"{header.path}: {name} of {brief(others[0])!r}, expected mm: convert it")
    is_in_space = "space" in header.fields or "space dimension" in header.fields
    return grid_of_header(header.path, size_xyz, *(_in_space if is_in_space else _along_axes)(header, axes))


def _in_space(header: TextHeader, axes: Sequence[int]) -> Axes:
    """The spacing, the origin and the directions, as columns, of a volume with a vector for each of its axes."""
    fields = header.fields
    if "space dimension" in fields and ("space" in fields or fields["space dimension"] != "3"):
        raise header.refused("space dimension", "3 and no space beside")
    if "spacings" in fields:
        raise InputError(f"{header.path}: spacings and a space, expected space directions or spacings: take one out")
    to_lps = np.diag(header.choice("space", LPS_SIGNS_OF_SPACE) if "space" in fields else (1, 1, 1))
    directions = _vectors(header, "space directions", int(fields["dimension"]))[list(axes)]
    origin = _vectors(header, "space origin", 1)[0] if "space origin" in fields else np.zeros(3)
    spacing = np.linalg.norm(directions, axis=1)
    check_spacing(spacing.tolist(), f"{header.path}: the length of space directions")
    return spacing, to_lps @ origin, to_lps @ (directions / spacing[:, None]).T


def _along_axes(header: TextHeader, axes: Sequence[int]) -> Axes:
    """The same of a volume that lies in no space but along its own axes."""
    fields = header.fields
    if {"space directions", "space origin"} & fields.keys():
        raise InputError(f"{header.path}: space directions or origin without a space, expected one such as LPS")
    rank = int(fields["dimension"])
    spacings = header.decimal_numbers("spacings", rank)
    spacing = np.array([spacings[axis] for axis in axes])
    check_spacing(spacing.tolist(), f"{header.path}: spacings")
    origin = np.zeros(3)
    if "axis mins" in fields:
        lowest = header.decimal_numbers("axis mins", rank)
        name = "centers" if "centers" in fields else "centerings"
        centerings = header.words(name, rank) if name in fields else ["cell"] * rank
        # The lowest position of a cell is its edge, of a node its centre.
        to_centre = [0 if centerings[axis].lower() == "node" else 0.5 for axis in axes]
        origin = np.array([lowest[axis] for axis in axes]) + to_centre * spacing
    return spacing, origin, np.eye(3)


def _vectors(header: TextHeader, name: str, count: int) -> Float[np.ndarray, "n 3"]:
    """`(x,y,z)` for each axis; of an axis without a direction, `none`, nan."""
    text = header.text(name)
    vectors = [
        ["nan"] * 3 if word == "none" else COMMA.split(word[1:-1].strip(string.whitespace))
        for word in VECTOR.findall(text)
    ]
    are_vectors = all(len(each) == 3 and all(map(DECIMAL_NUMBER.fullmatch, each)) for each in vectors)
    if len(vectors) != count or not are_vectors or words_of(VECTOR.sub("", text)):
        raise header.refused(name, f"{count} times (x,y,z)")
    return np.array([[float(number) for number in each] for each in vectors])
