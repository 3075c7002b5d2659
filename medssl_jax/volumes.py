"""The reader and writer of medical volumes: MetaImage, NIfTI, NRRD and folders of DICOM slices.

Arrays are `z, y, x`; a `Grid` says where their voxels lie in the patient.
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
from medssl_jax.geometry import Grid
from medssl_jax.metaimage import check_metaimage, header_text, read_voxels
from medssl_jax.names import printable

EXTENSIONS = (".mhd", ".mha", ".nii.gz", ".nii", ".nrrd")


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An array, the grid its voxels lie on, and the series it belongs to."""

    array_zyx: Num[np.ndarray, "z y x"]
    grid: Grid
    series_uid: str

    def __post_init__(self):
        if self.array_zyx.shape != self.grid.size_zyx:
            raise ValueError(f"array of shape {self.array_zyx.shape} on a grid of size {self.grid.size_zyx}")


def read_volume(path: str | os.PathLike, series_uid: str | None = None) -> Volume:
    """Reads a CT as int16 HU; padding outside the field of view (-2048, -3024) is left as it is.

    `path` has one of `EXTENSIONS` or is a folder with the DICOM slices of one CT series, or with those of `series_uid`
    among others. The series UID is DICOM's SeriesInstanceUID, else the file name without its extension.

    Raises:
      InputError: the file is absent, incomplete or not three-dimensional, its header contradicts itself, a value is no
        HU; see `medssl_jax.dicom.read_series` for folders.
    """
    return _read(Path(path), np.int16, series_uid)


def read_labels(path: str | os.PathLike) -> Volume:
    """Reads a mask as uint8 labels.

    Raises:
      InputError: as `read_volume`, or a voxel is not a whole number from 0 to 255.
    """
    return _read(Path(path), np.uint8)


def read_grid(path: str | os.PathLike) -> Grid:
    """Where the voxels of a volume file lie, from its header alone.

    Raises:
      InputError: as `read_volume`, but for the voxels.
    """
    _, reader = _open(Path(path))
    return _grid(path, reader)


def itk_reason(error: RuntimeError) -> str:
    """What SimpleITK says went wrong, in one line."""
    return " ".join(str(error).rsplit("sitk::ERROR:", 1)[-1].split())[:200]


def write_metaimage(path: str | os.PathLike, volume: Volume, *, compress: bool = False) -> None:
    """Writes `NAME.mhd` and beside it `NAME.raw`, or `NAME.zraw` if `compress`, with the header LUNA16's files have.

    The same volume gives the same bytes. The data file is in place before the header that names it.
    """
    path = Path(path)
    data_path = path.with_name(path.name.removesuffix(".mhd") + (".zraw" if compress else ".raw"))
    array = np.ascontiguousarray(volume.array_zyx)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    data: Any = zlib.compress(array.data, level=6) if compress else array
    header = header_text(volume.grid, array.dtype, data_path.name, len(data) if compress else None)
    with atomic_path(data_path) as temporary:
        temporary.write_bytes(data)
    with atomic_path(path) as temporary:
        temporary.write_text(header)


def _read(path, dtype, series_uid=None):
    if path.is_dir():
        series = read_series(path, series_uid)
        array = _decode_slices(path, series)
        if array.shape != series.grid.size_zyx:
            raise InputError(f"{path}: its slices decode to {array.shape} voxels, expected {series.grid.size_zyx}")
        return Volume(_to_integers(array, dtype, path), series.grid, series.series_uid)
    extension = next((each for each in EXTENSIONS if path.name.lower().endswith(each)), None)
    if extension is None:
        kinds = ", ".join(EXTENSIONS)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder, expected one of {kinds} or a folder of DICOM slices")
        raise InputError(f"{path}: unknown kind of file, expected one of {kinds} or a folder of DICOM slices")
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    array, grid = _decode(path)
    return Volume(_to_integers(array, dtype, path), grid, printable(path.name[: -len(extension)]))


def _decode(path):
    import SimpleITK as sitk

    voxel_data, reader = _open(path)
    try:
        array = read_voxels(voxel_data) if voxel_data else sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read: {itk_reason(error)}") from None
    return array, _grid(path, reader)


def _open(path):
    """Where the voxels of a MetaImage are (None for other files), and a reader that has read the header."""
    import SimpleITK as sitk

    voxel_data = check_metaimage(path) if path.name.lower().endswith((".mhd", ".mha")) else None
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read: {itk_reason(error)}") from None
    if reader.GetDimension() != 3:
        raise InputError(f"{path}: {reader.GetDimension()} dimensions, expected a volume of 3")
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: {reader.GetNumberOfComponents()} numbers a voxel, expected 1")
    return voxel_data, reader


def _grid(path, reader):
    try:
        return Grid(reader.GetSize()[::-1], reader.GetSpacing()[::-1], reader.GetOrigin(), reader.GetDirection())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _decode_slices(folder, series):
    import SimpleITK as sitk

    # SimpleITK takes the kind of number from the first slice: HU of others would wrap round or lose their fractions.
    pixel_type = sitk.sitkFloat32 if series.is_mixed else sitk.sitkUnknown
    warns = sitk.ProcessObject.GetGlobalWarningDisplay()
    # It says on stderr that distances differ in their last digit; how far they may differ, read_series decides.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage([str(file) for file in series.files], pixel_type))
    except RuntimeError as error:
        raise InputError(f"{folder}: cannot be read: {itk_reason(error)}") from None
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warns)


def _to_integers(array, dtype, path):
    limits, low, high = np.iinfo(dtype), array.min(), array.max()
    if not (math.isfinite(low) and math.isfinite(high) and limits.min <= low and high <= limits.max):
        raise InputError(f"{path}: values from {low} to {high}, expected {limits.min} to {limits.max}")
    if np.issubdtype(array.dtype, np.floating):
        rounded = np.rint(array)
        if dtype == np.uint8 and (rounded != array).any():
            raise InputError(f"{path}: labels between whole numbers, expected a mask")
        array = rounded
    return array.astype(dtype, copy=False)
