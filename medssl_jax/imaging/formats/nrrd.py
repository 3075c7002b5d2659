"""NRRD files (.nrrd): what the header says, and where the voxels are, be it in the file itself or in one beside it.

Neither ITK's reader nor pynrrd fits: ITK's crashes where a number has a thousand digits; pynrrd leaves checksums alone
and decompresses whatever a file becomes.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

import math
import re
import string
from collections.abc import Collection, Sequence
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
    fields, header_bytes = _fields(path)
    sizes, axes = _sizes_and_axes(path, fields)
    x, y, z = (sizes[axis] for axis in axes)
    size_xyz = (x, y, z)
    dtype = _dtype(path, fields)
    is_compressed = IS_COMPRESSED[_choice(path, fields, "encoding", IS_COMPRESSED)]
    data_path = beside(path, _data_file_name(path, fields)) if "data file" in fields else path
    offset = _after_lines(data_path, 0 if "data file" in fields else header_bytes, _skip(path, fields, "line skip"))
    byte_skip = _skip(path, fields, "byte skip", least=0 if is_compressed else -1)
    if byte_skip == -1:  # NRRD's word for "the voxels are what the file ends with"
        offset = max(0, data_path.stat().st_size - math.prod(size_xyz) * dtype.itemsize)
    elif not is_compressed:
        offset += byte_skip
    data = VoxelData(
        path=data_path,
        offset=offset,
        dtype=dtype,
        size_zyx=size_xyz[::-1],
        claim=f"sizes {' x '.join(map(str, size_xyz))} of {fields['type']}",
        is_compressed=is_compressed,
        bytes_before=byte_skip if is_compressed else 0,
    )
    check_length(data)
    return VolumeHeader(_grid(path, fields, size_xyz, axes), data)


def _fields(path: Path) -> tuple[Fields, int]:
    """The `FIELD: VALUE` lines of the header by field, and the bytes the header takes."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    first, _, _ = start.partition(b"\n")
    if not MAGIC.fullmatch(first):
        raise InputError(f"{path}: cannot be read: no NRRD header, expected NRRD0001 to NRRD0005 in its first line")
    fields: dict[str, str] = {}
    position = len(first) + 1
    while position < len(start):
        end = start.find(b"\n", position) % (len(start) + 1)  # the last line may lack its end
        line = start[position:end].removesuffix(b"\r").decode("utf-8", "surrogateescape")
        position = end + 1
        if not line:
            return fields, position
        if line.startswith("#"):
            continue
        name, separator, value = line.partition(": ")
        field = FIELD_OF_NAME.get(name.lower().replace(" ", ""))
        if separator and field:
            if field in fields:
                raise InputError(f"{path}: {field} stands twice in the header, expected once: copy the file again")
            fields[field] = value.strip(string.whitespace)
        elif ":=" not in line:
            raise InputError(f"{path}: cannot be read: header line {brief(line)!r} is not FIELD: VALUE of the format")
    if "data file" not in fields:
        raise InputError(f"{path}: the header does not end within {len(start)} bytes: copy the file again")
    return fields, position


def _sizes_and_axes(path: Path, fields: Fields) -> tuple[tuple[int, ...], list[int]]:
    """The size of every axis, and which three of them are those of the volume: x, y, z."""
    (rank,) = _numbers(path, fields, "dimension", whole_numbers, 1)
    if not 1 <= rank <= 16:
        raise InputError(f"{path}: {rank} dimensions, expected a volume of 3")
    sizes = _numbers(path, fields, "sizes", whole_numbers, rank)
    if min(sizes) < 1:
        raise InputError(f"{path}: sizes = {brief(fields['sizes'])}, expected at least 1 voxel on each axis")
    kinds = _words(path, fields, "kinds", rank) if "kinds" in fields else ["domain"] * rank
    axes = [axis for axis, kind in enumerate(kinds) if kind.lower() in KINDS_OF_SPATIAL_AXES]
    if len(axes) != 3:
        raise InputError(f"{path}: {len(axes)} dimensions, expected a volume of 3")
    numbers_a_voxel = math.prod(sizes) // math.prod(sizes[axis] for axis in axes)
    if numbers_a_voxel != 1:
        raise InputError(f"{path}: {numbers_a_voxel} numbers a voxel, expected 1")
    return sizes, axes


def _dtype(path: Path, fields: Fields) -> np.dtype:
    code = DTYPE_OF_TYPE[_choice(path, fields, "type", DTYPE_OF_TYPE)]
    if np.dtype(code).itemsize == 1:
        return np.dtype(code)
    return np.dtype(BYTE_ORDER_OF_ENDIAN[_choice(path, fields, "endian", BYTE_ORDER_OF_ENDIAN)] + code)


def _data_file_name(path: Path, fields: Fields) -> str:
    name = fields["data file"]
    if re.match(r"(SKIP)?LIST\b", name) or re.search(r"%\d*d", name):
        raise InputError(f"{path}: data file = {brief(name)}, expected one file: save the volume in one")
    return name


def _after_lines(path: Path, offset: int, count: int) -> int:
    """The offset of what follows `count` lines."""
    with path.open("rb") as file:
        file.seek(offset)
        for _ in range(count):
            if not file.readline():
                break
        return file.tell()


def _skip(path: Path, fields: Fields, name: str, least: int = 0) -> int:
    if name not in fields:
        return 0
    (count,) = _numbers(path, fields, name, whole_numbers, 1)
    if count < least:
        raise InputError(f"{path}: {name} = {count}, expected at least {least} for {fields['encoding']} data")
    return count


def _grid(path: Path, fields: Fields, size_xyz: tuple[int, int, int], axes: Sequence[int]) -> Grid:
    for name in ("space units", "units"):
        others = [unit for unit in re.findall(r'"([^"]*)"', fields.get(name, "")) if unit.lower() not in MILLIMETRES]
        if others:
            raise InputError(f"{path}: {name} of {brief(others[0])!r}, expected mm: convert it")
    is_in_space = "space" in fields or "space dimension" in fields
    spacing, origin, directions = (_in_space if is_in_space else _along_axes)(path, fields, axes)
    return grid_of_header(path, size_xyz, spacing, origin, directions)


def _in_space(path: Path, fields: Fields, axes: Sequence[int]) -> Axes:
    """The spacing, the origin and the directions, as columns, of a volume with a vector for each of its axes."""
    if "space dimension" in fields and ("space" in fields or fields["space dimension"] != "3"):
        raise InputError(
            f"{path}: space dimension = {brief(fields['space dimension'])}, expected 3 and no space beside"
        )
    if "spacings" in fields:
        raise InputError(f"{path}: spacings and a space, expected space directions or spacings: take one out")
    signs = (1, 1, 1)
    if "space" in fields:
        signs = LPS_SIGNS_OF_SPACE[_choice(path, fields, "space", LPS_SIGNS_OF_SPACE)]
    vectors = _vectors(path, fields, "space directions", int(fields["dimension"]))
    origin = _vectors(path, fields, "space origin", 1)[0] if "space origin" in fields else np.zeros(3)
    directions = np.array([vectors[axis] for axis in axes])
    spacing = np.linalg.norm(directions, axis=1)
    check_spacing(spacing.tolist(), f"{path}: the length of space directions")
    to_lps = np.diag(signs)
    return spacing, to_lps @ origin, to_lps @ (directions / spacing[:, None]).T


def _along_axes(path: Path, fields: Fields, axes: Sequence[int]) -> Axes:
    """The same of a volume that lies in no space but along its own axes."""
    if {"space directions", "space origin"} & fields.keys():
        raise InputError(f"{path}: space directions or origin without a space, expected one such as LPS")
    rank = int(fields["dimension"])
    spacings = _numbers(path, fields, "spacings", decimal_numbers, rank)
    spacing = np.array([spacings[axis] for axis in axes])
    check_spacing(spacing.tolist(), f"{path}: spacings")
    origin = np.zeros(3)
    if "axis mins" in fields:
        lowest = _numbers(path, fields, "axis mins", decimal_numbers, rank)
        name = "centers" if "centers" in fields else "centerings"
        centerings = _words(path, fields, name, rank) if name in fields else ["cell"] * rank
        # The lowest position of a cell is its edge, of a node its centre.
        to_centre = [0 if centerings[axis].lower() == "node" else 0.5 for axis in axes]
        origin = np.array([lowest[axis] for axis in axes]) + to_centre * spacing
    return spacing, origin, np.eye(3)


def _vectors(path: Path, fields: Fields, name: str, count: int) -> list[Float[np.ndarray, "3"]]:
    """`(x,y,z)` for each axis; of an axis without a direction, `none`, nan."""
    text = _value(path, fields, name)
    try:
        vectors = [
            (math.nan,) * 3 if word == "none" else decimal_numbers(COMMA.split(word[1:-1].strip(string.whitespace)))
            for word in VECTOR.findall(text)
        ]
    except ValueError:
        vectors = []
    if len(vectors) != count or any(len(each) != 3 for each in vectors) or words_of(VECTOR.sub("", text)):
        raise InputError(f"{path}: {name} = {brief(text)}, expected {count} times (x,y,z)")
    return [np.array(each) for each in vectors]


def _choice(path: Path, fields: Fields, name: str, choices: Collection[str]) -> str:
    value = _value(path, fields, name)
    key = value.lower()
    if key not in choices:
        some = ", ".join(list(choices)[:6]) + (", ..." if len(choices) > 6 else "")
        raise InputError(f"{path}: {name} = {brief(value)}, expected one of {some}: convert it")
    return key


def _words(path: Path, fields: Fields, name: str, count: int) -> list[str]:
    words = words_of(_value(path, fields, name))
    if len(words) != count:
        raise InputError(f"{path}: {name} = {brief(fields[name])}, expected {count}, one an axis")
    return words


def _numbers(path: Path, fields: Fields, name: str, kind: NumbersOf[Number], count: int) -> tuple[Number, ...]:
    try:
        return kind(_words(path, fields, name, count))
    except ValueError:
        raise InputError(f"{path}: {name} = {brief(fields[name])}, expected {count} numbers") from None


def _value(path: Path, fields: Fields, name: str) -> str:
    if name not in fields:
        raise InputError(f"{path}: no {name} in the header, expected it in a volume")
    return fields[name]
