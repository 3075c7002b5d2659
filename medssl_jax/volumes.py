"""The reader and writer of medical volumes: MetaImage, NIfTI, NRRD and folders of DICOM slices.

Arrays are `z, y, x`; a `Grid` says where their voxels lie in the patient. SimpleITK decodes the pixels. MetaImage
headers are checked here first, because ITK repairs a negative spacing silently and may read past a short data file.
"""

import dataclasses
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from medssl_jax.atomic import atomic_path
from medssl_jax.dicom import read_series
from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid, check_spacing

EXTENSIONS = (".mhd", ".mha", ".nii", ".nii.gz", ".nrrd")
METAIMAGE_BYTES_PER_ELEMENT = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
METAIMAGE_ELEMENT_OF_DTYPE = {
    "int8": "MET_CHAR",
    "uint8": "MET_UCHAR",
    "int16": "MET_SHORT",
    "uint16": "MET_USHORT",
    "int32": "MET_INT",
    "float32": "MET_FLOAT",
    "float64": "MET_DOUBLE",
}
LONGEST_METAIMAGE_HEADER = 1 << 16


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An array, the grid its voxels lie on, and the series it belongs to."""

    array_zyx: Num[np.ndarray, "z y x"]
    grid: Grid
    series_uid: str

    def __post_init__(self):
        if self.array_zyx.shape != self.grid.size_zyx:
            raise ValueError(f"array of shape {self.array_zyx.shape} on a grid of size {self.grid.size_zyx}")


def read_volume(path: str | os.PathLike) -> Volume:
    """Reads a CT as int16 HU; padding outside the field of view (-2048, -3024) is left as it is.

    `path` is one of `EXTENSIONS` or a folder holding the DICOM slices of one CT series. The series UID is DICOM's
    SeriesInstanceUID, else the file name without its extension.

    Raises:
      InputError: the file is absent, incomplete, not three-dimensional, or its header contradicts itself; see
        `medssl_jax.dicom.read_series` for folders.
    """
    return _read(Path(path), np.int16)


def read_labels(path: str | os.PathLike) -> Volume:
    """Reads a mask as uint8 labels.

    Raises:
      InputError: as `read_volume`, or a voxel is not a whole number from 0 to 255.
    """
    return _read(Path(path), np.uint8)


def write_metaimage(path: str | os.PathLike, volume: Volume, *, compress: bool = False) -> None:
    """Writes `NAME.mhd` and beside it `NAME.raw`, or `NAME.zraw` if `compress`, with the header LUNA16's files have.

    The same volume gives the same bytes. The data file is in place before the header that names it.
    """
    path = Path(path)
    data_path = path.with_name(path.name.removesuffix(".mhd") + (".zraw" if compress else ".raw"))
    array = np.ascontiguousarray(volume.array_zyx)
    data: Any = array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data
    if compress:
        data = zlib.compress(data, level=6)
    with atomic_path(data_path) as temporary:
        Path(temporary).write_bytes(data)
    header = _metaimage_header(volume.grid, array.dtype, data_path.name, len(data) if compress else None)
    with atomic_path(path) as temporary:
        Path(temporary).write_text(header)


def _read(path, dtype):
    if path.is_dir():
        series = read_series(path)
        image = _decode(path, [str(file) for file in series.files])
        array_xyz_size = image.GetSize()
        if array_xyz_size[::-1] != series.grid.size_zyx:
            raise InputError(f"{path}: decoded {array_xyz_size[::-1]} voxels, the headers say {series.grid.size_zyx}")
        return Volume(_to_integers(image, dtype, path), series.grid, series.series_uid)
    extension = _extension(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    if extension in (".mhd", ".mha"):
        check_metaimage(path)
    image = _decode(path, str(path))
    try:
        grid = Grid(image.GetSize()[::-1], image.GetSpacing()[::-1], image.GetOrigin(), image.GetDirection())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Volume(_to_integers(image, dtype, path), grid, path.name[: -len(extension)])


def _extension(path):
    for extension in sorted(EXTENSIONS, key=len, reverse=True):
        if path.name.lower().endswith(extension):
            return extension
    raise InputError(
        f"{path}: unknown kind of file, expected one of {', '.join(EXTENSIONS)} or a folder of DICOM slices"
    )


def _decode(path, source):
    import SimpleITK as sitk

    try:
        if isinstance(source, list):
            return sitk.ReadImage(source)
        reader = sitk.ImageFileReader()
        reader.SetFileName(source)
        reader.ReadImageInformation()
        if reader.GetDimension() != 3:
            raise InputError(f"{path}: {reader.GetDimension()} dimensions, expected a volume of 3")
        if reader.GetNumberOfComponents() != 1:
            raise InputError(f"{path}: {reader.GetNumberOfComponents()} numbers a voxel, expected 1")
        return reader.Execute()
    except RuntimeError as error:
        reason = " ".join(str(error).rsplit("sitk::ERROR:", 1)[-1].split())
        raise InputError(f"{path}: cannot be read: {reason[:200]}") from None


def _to_integers(image, dtype, path):
    import SimpleITK as sitk

    array = sitk.GetArrayViewFromImage(image)
    low, high = array.min(), array.max()
    limits = np.iinfo(dtype)
    if not (math.isfinite(low) and math.isfinite(high) and limits.min <= low and high <= limits.max):
        raise InputError(f"{path}: values from {low} to {high}, expected {limits.min} to {limits.max}")
    if np.issubdtype(array.dtype, np.floating):
        rounded = np.rint(array)
        if dtype == np.uint8 and (rounded != array).any():
            raise InputError(f"{path}: labels between whole numbers, expected a mask")
        array = rounded
    return np.array(array, dtype)


def check_metaimage(path: Path) -> Path:
    """The file that holds the voxels; `InputError` if the header is no volume's or the data is not all there."""
    fields, header_bytes = _metaimage_fields(path)
    if fields.get("NDims") != "3":
        raise InputError(f"{path}: NDims = {fields.get('NDims', 'absent')}, expected 3")
    size_xyz = _numbers(path, fields, int, "DimSize")
    if min(size_xyz) < 1:
        raise InputError(f"{path}: DimSize = {fields['DimSize']}, expected at least 1 voxel on each axis")
    check_spacing(_numbers(path, fields, float, "ElementSpacing", "ElementSize"), f"{path}: ElementSpacing")
    element = fields.get("ElementType", "absent")
    if element not in METAIMAGE_BYTES_PER_ELEMENT:
        raise InputError(f"{path}: ElementType = {element}, expected one number a voxel such as MET_SHORT")
    if fields["ElementDataFile"] == "LOCAL":
        data_path, found = path, path.stat().st_size - header_bytes
    else:
        data_path = path.parent / fields["ElementDataFile"]
        if not data_path.is_file():
            raise InputError(f"{path}: its data file {data_path.name} is missing in {path.parent}: copy it there too")
        found = data_path.stat().st_size
    skipped = max(0, _numbers(path, fields, int, "HeaderSize", count=1)[0]) if "HeaderSize" in fields else 0
    expected = math.prod(size_xyz) * METAIMAGE_BYTES_PER_ELEMENT[element]
    size = " x ".join(map(str, size_xyz))
    if fields.get("CompressedData", "False").lower() == "true":
        if "CompressedDataSize" not in fields:
            return data_path
        expected, what = _numbers(path, fields, int, "CompressedDataSize", count=1)[0], "CompressedDataSize"
    else:
        what = f"DimSize {size} of {element}"
    if found - skipped < expected:
        raise InputError(
            f"{data_path}: truncated: {found - skipped} bytes of data, expected {expected} ({what}): "
            "copy the file again"
        )
    return data_path


def _metaimage_fields(path):
    """The `key = value` lines of the header, and the number of bytes they take."""
    with path.open("rb") as file:
        start = file.read(LONGEST_METAIMAGE_HEADER)
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        end = start.find(b"\n", position)
        line = start[position : end if end >= 0 else None]
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals or not key.strip().isalpha():
            raise InputError(f"{path}: not a MetaImage header: line {len(fields) + 1} is not NAME = VALUE")
        fields[key.strip()] = value.strip()
        position = end + 1
        if end < 0:
            break
    if "ElementDataFile" not in fields:
        raise InputError(f"{path}: the header ends without ElementDataFile: copy the file again")
    return fields, position


def _numbers(path, fields, kind, *names, count=3):
    name = next((each for each in names if each in fields), None)
    if name is None:
        raise InputError(f"{path}: no {names[0]} in the header")
    try:
        numbers = tuple(kind(each) for each in fields[name].split())
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"{path}: {name} = {fields[name]}, expected {count} numbers")
    return numbers


def _metaimage_header(grid, dtype, data_name, compressed_bytes):
    axes_xyz = grid.direction_matrix.T  # MetaImage lists the axes one after the other, ITK as columns
    compressed = compressed_bytes is not None
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compressed),
        **({"CompressedDataSize": str(compressed_bytes)} if compressed else {}),
        "TransformMatrix": _join(axes_xyz.ravel()),
        "Offset": _join(grid.origin_xyz_mm),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "".join(map(_anatomical_letter, axes_xyz)),
        "ElementSpacing": _join(grid.spacing_zyx_mm[::-1]),
        "DimSize": _join(grid.size_zyx[::-1]),
        "ElementType": METAIMAGE_ELEMENT_OF_DTYPE[dtype.name],
        "ElementDataFile": data_name,
    }
    return "".join(f"{key} = {value}\n" for key, value in fields.items())


def _anatomical_letter(axis_xyz):
    """The side of the patient an index axis comes from: R for one that runs from right to left."""
    world_axis = int(np.argmax(np.abs(axis_xyz)))
    return ("RL", "AP", "IS")[world_axis][int(axis_xyz[world_axis] < 0)]


def _join(numbers):
    return " ".join(repr(float(each)).removesuffix(".0") for each in numbers)
