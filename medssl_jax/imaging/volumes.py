"""The reader and writer of medical volumes: MetaImage, NIfTI, NRRD and folders of DICOM slices.

Arrays are `z, y, x`; a `Grid` says where their voxels lie in the patient.
"""

import dataclasses
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import Bool, Integer, Num

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.imaging.dicom.pixels import read_slice
from medssl_jax.imaging.dicom.series import Series, read_series
from medssl_jax.imaging.formats import metaimage, nifti, nrrd
from medssl_jax.imaging.formats.header import VolumeHeader
from medssl_jax.imaging.formats.voxel_data import check_expansion, read_pieces
from medssl_jax.imaging.geometry import Grid

with epy.lazy_imports():
    import SimpleITK as sitk

READ_HEADER_OF_EXTENSION = {
    ".mhd": metaimage.read_header,
    ".mha": metaimage.read_header,
    ".nii.gz": nifti.read_header,
    ".nii": nifti.read_header,
    ".nrrd": nrrd.read_header,
}
EXTENSIONS = tuple(READ_HEADER_OF_EXTENSION)

Integers = type[np.int16] | type[np.uint8]


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An array, the grid its voxels lie on, and the series it belongs to.

    Raises `InputError` for an array that is not z, y, x of the grid's size.
    """

    array_zyx: Num[np.ndarray, "z y x"]
    grid: Grid
    series_uid: str

    def __post_init__(self) -> None:
        if not isinstance(self.array_zyx, np.ndarray):
            raise InputError(f"array_zyx: found {type(self.array_zyx).__name__}, expected a NumPy array z, y, x")
        found, expected = self.array_zyx.shape, self.grid.size_zyx
        if found != expected:
            is_turned = sorted(found) == sorted(expected)
            mend = "transpose it, its axes are in another order" if is_turned else "give the array that the grid is of"
            raise InputError(f"array_zyx: found shape {found}, expected {expected} (z, y, x), as its grid says: {mend}")


def read_volume(path: str | os.PathLike[str], *, series_uid: str | None = None) -> Volume:
    """Reads a CT as int16 HU; padding outside the field of view (-2048, -3024) is left as it is.

    `path` has one of `EXTENSIONS` or is a folder with the DICOM slices of one CT series, or with those of `series_uid`
    among others. The series UID is DICOM's SeriesInstanceUID, else the file name without its extension.

    Raises:
      InputError: the file is absent, incomplete or not three-dimensional, its header contradicts itself, a value is no
        HU; see `medssl_jax.imaging.dicom.series.read_series` for folders.
    """
    return _read(Path(path), np.int16, series_uid)


def read_slices(series: Series) -> Volume:
    """Reads the CT whose slices were found, as `read_volume` does. Raises `InputError` as that does."""
    return _of_slices(series, np.int16)


def read_labels(path: str | os.PathLike[str]) -> Volume:
    """Reads a mask as uint8 labels.

    Raises:
      InputError: as `read_volume`, or a voxel is not a whole number from 0 to 255.
    """
    return _read(Path(path), np.uint8)


def read_header(path: str | os.PathLike[str]) -> VolumeHeader:
    """The place of a volume's voxels in the patient and in the file, from its header and its length alone.

    Raises:
      InputError: as `read_volume`, but for the voxels.
    """
    path = Path(path)
    try:
        with np.errstate(all="ignore"):  # a number beyond all sense is refused by name, without a warning beside
            return READ_HEADER_OF_EXTENSION[_extension(path)](path)
    except OSError as error:
        raise _unreadable(path, error) from None


def read_grid(path: str | os.PathLike[str]) -> Grid:
    """The grid that `read_header` finds."""
    return read_header(path).grid


def has_label(mask: Num[np.ndarray, "..."], labels: Sequence[int] | None) -> Bool[np.ndarray, "..."]:
    """True for the voxels of a mask that have one of `labels`; None stands for every label but 0."""
    return mask != 0 if labels is None else np.isin(mask, labels)


def write_metaimage(path: str | os.PathLike[str], volume: Volume, *, compress: bool = False) -> None:
    """Writes `NAME.mhd` and beside it `NAME.raw`, or `NAME.zraw` if `compress`, with the header LUNA16's files have.

    The same volume gives the same bytes. The data file is in place before the header that names it.
    """
    path = Path(path)
    data_path = path.with_name(path.name.removesuffix(".mhd") + (".zraw" if compress else ".raw"))
    array = np.ascontiguousarray(volume.array_zyx)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    data: Any = zlib.compress(array.data, level=6) if compress else array
    header = metaimage.header_text(volume.grid, array.dtype, data_path.name, len(data) if compress else None)
    with atomic_path(data_path) as temporary:
        temporary.write_bytes(data)
    with atomic_path(path) as temporary:
        temporary.write_bytes(os.fsencode(header))


def write_nifti(path: str | os.PathLike[str], volume: Volume) -> None:
    """Writes `NAME.nii.gz` with voxels of the array's own type, whole or not at all.

    Raises `InputError` where it cannot be written.
    """
    grid = volume.grid
    image = sitk.GetImageFromArray(volume.array_zyx)
    image.SetSpacing(grid.spacing_zyx_mm[::-1])
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(grid.direction)
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(image, os.fspath(temporary), useCompression=True)
        except RuntimeError as error:  # ITK says no more than that it could not
            raise InputError(
                f"{path}: cannot be written as NIfTI: free some space or choose a folder you can write to and start "
                "again"
            ) from error


def _read(path: Path, dtype: Integers, series_uid: str | None = None) -> Volume:
    if os.path.isdir(path):
        return _of_slices(read_series(path, series_uid), dtype)
    header = read_header(path)
    if header.voxels.is_compressed:
        check_expansion(header.voxels, header.voxels.voxel_count * np.dtype(dtype).itemsize)
    array = np.empty(header.grid.size_zyx, dtype)
    voxels, done = array.reshape(-1), 0
    try:
        for piece in read_pieces(header.voxels):
            voxels[done : done + len(piece)] = _to_integers(piece, dtype, path)
            done += len(piece)
    except OSError as error:
        raise _unreadable(path, error) from None
    return Volume(array, header.grid, printable(path.name[: -len(_extension(path))]))


def _of_slices(series: Series, dtype: Integers) -> Volume:
    array = np.empty(series.grid.size_zyx, dtype)
    for plane, header in zip(array, series.headers, strict=True):
        plane[...] = _to_integers(read_slice(header), dtype, header.path)
    return Volume(array, series.grid, series.series_uid)


def _extension(path: Path) -> str:
    extension = next((each for each in EXTENSIONS if path.name.lower().endswith(each)), None)
    if extension is None:
        kinds = ", ".join(EXTENSIONS)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder, expected one of {kinds} or a folder of DICOM slices")
        raise InputError(f"{path}: unknown kind of file, expected one of {kinds} or a folder of DICOM slices")
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    return extension


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{error.filename or path}: cannot be read: {error.strerror or error}: change its rights or copy it again"
    )


def _to_integers(array: Num[np.ndarray, "*n"], dtype: Integers, path: Path) -> Integer[np.ndarray, "*n"]:
    limits, low, high = np.iinfo(dtype), array.min(), array.max()
    if not (limits.min <= low and high <= limits.max):  # NaN is within no limits either
        raise InputError(f"{path}: values from {low} to {high}, expected {limits.min} to {limits.max}")
    if np.issubdtype(array.dtype, np.floating):
        rounded = np.rint(array)
        if dtype == np.uint8 and (rounded != array).any():
            raise InputError(f"{path}: labels between whole numbers, expected a mask")
        array = rounded
    return array.astype(dtype, copy=False)
