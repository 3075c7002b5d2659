"""MetaImage files (.mhd, .mha): what the header says, whether the data is all there, and its voxels.

ITK repairs a negative spacing silently and fills what a damaged .zraw lacks with whatever lies in memory, so the header
is checked and the voxels are read here; ITK is left the geometry.
"""

import dataclasses
import math
import re
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Num

from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid, check_spacing

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


@dataclasses.dataclass(frozen=True)
class VoxelData:
    """Where the voxels of a MetaImage are, and how they are stored."""

    path: Path
    offset: int
    dtype: np.dtype
    size_zyx: tuple[int, int, int]
    is_compressed: bool

    @property
    def byte_count(self) -> int:
        """How many bytes the voxels take, decompressed."""
        return math.prod(self.size_zyx) * self.dtype.itemsize


def check_metaimage(path: Path) -> VoxelData:
    """Reads the header only; `InputError` if it is not that of a volume, or its data is missing or cut short."""
    fields, header_bytes = _fields(path)
    if fields.get("NDims") != "3":
        raise InputError(f"{path}: NDims = {fields.get('NDims', 'absent')}, expected 3")
    size_x, size_y, size_z = _numbers(path, fields, int, 3, "DimSize")
    if min(size_x, size_y, size_z) < 1:
        raise InputError(f"{path}: DimSize = {fields['DimSize']}, expected at least 1 voxel on each axis")
    check_spacing(_numbers(path, fields, float, 3, "ElementSpacing", "ElementSize"), f"{path}: ElementSpacing")
    element = fields.get("ElementType", "absent")
    if element not in DTYPE_OF_ELEMENT or fields.get("ElementNumberOfChannels", "1") != "1":
        raise InputError(f"{path}: ElementType = {element}, expected one number a voxel such as MET_SHORT")
    if not _is_true(fields, "BinaryData", default=True):
        raise InputError(f"{path}: BinaryData = False, expected binary data: save it as a binary MetaImage")
    is_local = fields["ElementDataFile"].upper() == "LOCAL"
    data_path = path if is_local else path.parent / fields["ElementDataFile"]
    if not data_path.is_file():
        raise InputError(f"{path}: its data file {data_path.name} is missing in {path.parent}: copy it there too")
    big_endian = any(_is_true(fields, name) for name in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    data = VoxelData(
        path=data_path,
        offset=header_bytes if is_local else 0,
        dtype=np.dtype(DTYPE_OF_ELEMENT[element]).newbyteorder(">" if big_endian else "<"),
        size_zyx=(size_z, size_y, size_x),
        is_compressed=_is_true(fields, "CompressedData"),
    )
    skipped = _numbers(path, fields, int, 1, "HeaderSize")[0] if "HeaderSize" in fields else 0
    if skipped:
        # -1 is MetaImage's word for "the voxels are what the file ends with".
        at_the_end = max(0, data_path.stat().st_size - data.byte_count)
        data = dataclasses.replace(data, offset=at_the_end if skipped < 0 else data.offset + skipped)
    _check_length(path, fields, data)
    return data


def read_voxels(data: VoxelData) -> Num[np.ndarray, "z y x"]:
    """The voxels; `InputError` if compressed ones do not decompress to exactly the volume."""
    if data.is_compressed:
        with data.path.open("rb") as file:
            file.seek(data.offset)
            try:
                stored: bytes | np.ndarray = zlib.decompress(file.read(), bufsize=data.byte_count)
            except zlib.error as error:
                raise InputError(f"{data.path}: does not decompress ({error}): copy the file again") from None
        if len(stored) != data.byte_count:
            raise InputError(f"{data.path}: does not decompress to {data.byte_count} bytes but to {len(stored)}")
        return np.frombuffer(stored, data.dtype).reshape(data.size_zyx)
    count = math.prod(data.size_zyx)
    return np.fromfile(data.path, data.dtype, count, offset=data.offset).reshape(data.size_zyx)


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


def _fields(path):
    """The `NAME = VALUE` lines of the header, and the number of bytes they take."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        if position >= len(start):
            raise InputError(f"{path}: the header ends without ElementDataFile: copy the file again")
        end = start.find(b"\n", position) % (len(start) + 1)  # the last line may lack its end
        name, equals, value = start[position:end].decode("latin-1").partition("=")
        if not equals or not re.fullmatch(r"\w+", name.strip(), re.ASCII):
            raise InputError(f"{path}: not a MetaImage header: line {len(fields) + 1} is not NAME = VALUE")
        fields[name.strip()] = value.strip()
        position = end + 1
    return fields, position


def _numbers(path, fields, kind, count, *names):
    name = next((each for each in names if each in fields), None)
    if name is None:
        raise InputError(f"{path}: no {names[0]} in the header, expected {count} numbers")
    try:
        numbers = tuple(kind(each) for each in fields[name].split())
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"{path}: {name} = {fields[name]}, expected {count} numbers")
    return numbers


def _is_true(fields, name, default=False):
    return fields.get(name, str(default)).lower() in ("true", "1")


def _check_length(path, fields, data):
    found = data.path.stat().st_size - data.offset
    size = " x ".join(map(str, data.size_zyx[::-1]))
    expected, reason = data.byte_count, f"DimSize {size} of {fields['ElementType']}"
    if data.is_compressed:
        if "CompressedDataSize" not in fields:
            return
        expected, reason = _numbers(path, fields, int, 1, "CompressedDataSize")[0], "CompressedDataSize"
    if found < expected:
        raise InputError(
            f"{data.path}: truncated: {found} bytes of data, expected {expected} ({reason}): copy the file again"
        )


def _side_it_comes_from(axis_xyz):
    """R for an index axis that runs from right to left."""
    world_axis = int(np.argmax(np.abs(axis_xyz)))
    return ("RL", "AP", "IS")[world_axis][int(axis_xyz[world_axis] < 0)]


def _join(numbers):
    return " ".join(repr(float(each)).removesuffix(".0") for each in numbers)
