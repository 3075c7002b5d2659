"""NIfTI-1 files (.nii, .nii.gz): what the header says, and where the voxels are.

Neither ITK's reader nor nibabel's fits: ITK fills what is missing with zeros and makes 1 mm of a spacing of 0 or nan;
nibabel leaves the checksum alone and allocates what the header claims. Which of the two transforms a file may hold is
taken is ITK's rule, so that scans lie where they always did.

The format: https://nifti.nimh.nih.gov/nifti-1
"""

import zlib
from pathlib import Path

import numpy as np
from etils import epy
from jaxtyping import Float

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.formats.header import VolumeHeader, grid_of_header, listed
from medssl_jax.imaging.formats.voxel_data import Inflated, VoxelData, check_length
from medssl_jax.imaging.geometry import ORTHONORMAL_TOLERANCE, Grid, check_spacing

with epy.lazy_imports():
    from scipy import spatial

# By byte offset; what is not read here is left out.
FORMAT_OF_FIELD = {
    "sizeof_hdr": (0, "i4"),
    "dim": (40, "(8,)i2"),
    "datatype": (70, "i2"),
    "pixdim": (76, "(8,)f4"),
    "vox_offset": (108, "f4"),
    "scl_slope": (112, "f4"),
    "scl_inter": (116, "f4"),
    "xyzt_units": (123, "u1"),
    "qform_code": (252, "i2"),
    "sform_code": (254, "i2"),
    "quatern_bcd": (256, "(3,)f4"),
    "qoffset_xyz": (268, "(3,)f4"),
    "srow_xyz": (280, "(3,4)f4"),
    "magic": (344, "S4"),
}
OFFSETS, FORMATS = zip(*FORMAT_OF_FIELD.values(), strict=True)
HEADER_BYTES = 348
HEADER = np.dtype({"names": [*FORMAT_OF_FIELD], "formats": FORMATS, "offsets": OFFSETS, "itemsize": HEADER_BYTES})
LEAST_VOXEL_OFFSET = 352  # four bytes say whether there are extensions
MAGIC = b"n+1"
GZIP_MAGIC = b"\x1f\x8b"
DTYPE_OF_CODE = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
MM_OF_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, metre, millimetre, micrometre
SPACE_UNITS = 0b111
LEAST_SLOPE = 1e-12  # of anything less, float32 HU keep nothing
SCANNER_ANATOMY = 1
SAME_TRANSFORM = 1e-4
SAME_SPACING = 1e-3
UNIT_QUATERNION = 1e-5
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


def read_header(path: Path) -> VolumeHeader:
    """Raises `InputError` if it is not that of a volume, or the file is not as long as it says."""
    fields, is_compressed = _fields(path)
    size_xyz = _size_xyz(path, fields)
    voxel_offset = float(fields["vox_offset"])
    if not (voxel_offset.is_integer() and voxel_offset >= LEAST_VOXEL_OFFSET):
        raise InputError(
            f"{path}: vox_offset = {voxel_offset:g}, expected a whole number of at least {LEAST_VOXEL_OFFSET}: "
            "copy the file again"
        )
    code = int(fields["datatype"])
    if code not in DTYPE_OF_CODE:
        raise InputError(f"{path}: datatype = {code}, expected one number a voxel, such as 4 (int16): convert it")
    dtype = np.dtype(DTYPE_OF_CODE[code])
    slope, intercept = _scaling(path, fields)
    data = VoxelData(
        path=path,
        offset=0 if is_compressed else int(voxel_offset),
        dtype=dtype.newbyteorder("=" if fields.dtype.isnative else "S"),
        size_zyx=size_xyz[::-1],
        claim=f"dim {' x '.join(map(str, size_xyz))} of {dtype.name}",
        is_compressed=is_compressed,
        bytes_before=int(voxel_offset) if is_compressed else 0,
        slope=slope,
        intercept=intercept,
    )
    check_length(data)
    return VolumeHeader(_grid(path, fields, size_xyz), data)


def _fields(path: Path) -> tuple[np.void, bool]:
    """The header as a NumPy record, and whether the file is compressed; its name may say otherwise."""
    with path.open("rb") as file:
        is_compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        try:
            start = (Inflated(file) if is_compressed else file).read(HEADER_BYTES)
        except EOFError:
            start = b""
        except zlib.error as error:
            raise InputError(f"{path}: cannot be read: does not decompress ({error}): copy the file again") from None
    if len(start) < HEADER_BYTES:
        raise InputError(
            f"{path}: cannot be read: truncated within the header of {HEADER_BYTES} bytes: copy the file again"
        )
    for header in (HEADER.newbyteorder("<"), HEADER.newbyteorder(">")):
        fields = np.frombuffer(start, header, count=1)[0]
        if fields["sizeof_hdr"] == HEADER_BYTES and fields["magic"] == MAGIC:
            return fields, is_compressed
    raise InputError(f"{path}: cannot be read: no header of NIfTI-1 with its voxels in the same file: convert it")


def _size_xyz(path: Path, fields: np.void) -> tuple[int, int, int]:
    rank, *sizes = fields["dim"].tolist()
    while rank > 3 and sizes[rank - 1 :][:1] == [1]:  # a series of one volume
        rank -= 1
    if rank != 3:
        raise InputError(f"{path}: {rank} dimensions, expected a volume of 3")
    sizes = sizes[:3]
    if min(sizes) < 1:
        raise InputError(f"{path}: dim = {' x '.join(map(str, sizes))}, expected at least 1 voxel on each axis")
    return tuple(sizes)


def _scaling(path: Path, fields: np.void) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if (slope, intercept) == (0, 0):  # NIfTI's word for "as stored"
        return 1.0, 0.0
    if not (abs(slope) >= LEAST_SLOPE and np.isfinite([slope, intercept]).all()):
        raise InputError(
            f"{path}: scl_slope = {slope:g} and scl_inter = {intercept:g}, expected finite numbers and a slope of at "
            f"least {LEAST_SLOPE:g} either way: convert it again"
        )
    return slope, intercept


def _grid(path: Path, fields: np.void, size_xyz: tuple[int, int, int]) -> Grid:
    unit = int(fields["xyzt_units"]) & SPACE_UNITS
    if unit not in MM_OF_UNIT:
        raise InputError(f"{path}: xyzt_units = {unit}, expected 2 (mm), or 1 or 3 for m or micrometres: convert it")
    spacing_xyz = fields["pixdim"][1:4].astype(np.float64)
    check_spacing(spacing_xyz.tolist(), f"{path}: pixdim")
    if not np.isfinite(fields["pixdim"][0]):
        raise InputError(f"{path}: pixdim[0] = {fields['pixdim'][0]:g}, expected -1, 0 or 1: save it again")
    axes, origin_xyz = _axes_and_origin(path, fields, spacing_xyz)
    return grid_of_header(path, size_xyz, spacing_xyz * MM_OF_UNIT[unit], origin_xyz * MM_OF_UNIT[unit], axes)


def _axes_and_origin(
    path: Path, fields: np.void, spacing_xyz: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """The world directions (LPS) of the x, y, z index axes as columns, and where voxel 0 lies, in the file's unit."""
    transform = _transform(path, fields, spacing_xyz)
    if transform is None:
        return np.eye(3), np.zeros(3)
    lengths = np.linalg.norm(transform[:, :3], axis=0)
    if not np.allclose(lengths, spacing_xyz, rtol=SAME_SPACING, atol=0):
        raise InputError(
            f"{path}: pixdim is {listed(spacing_xyz)}, but its sform has axes of {listed(lengths)}, expected the "
            "same: save it again with the right spacing"
        )
    return RAS_TO_LPS @ (transform[:, :3] / lengths), RAS_TO_LPS @ transform[:, 3]


def _transform(path: Path, fields: np.void, spacing_xyz: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 4"] | None:
    """From voxel to world (RAS): the sform if it is the scanner's, the only one or the same; else the qform if any."""
    qform = _qform(path, fields, spacing_xyz) if fields["qform_code"] > 0 else None
    if fields["sform_code"] <= 0:
        return qform
    sform = fields["srow_xyz"].astype(np.float64)
    is_of_scanner = fields["sform_code"] == SCANNER_ANATOMY
    # A sheared one beside a qform may be a registration's; one that is no number is damage.
    if not np.isfinite(sform).all() or (not _is_rigid(sform) and (is_of_scanner or qform is None)):
        raise InputError(
            f"{path}: its sform has no finite axes at right angles to each other, expected a straight stack, not one "
            "of a tilted gantry: resample it"
        )
    if qform is None or is_of_scanner or np.allclose(sform, qform, rtol=0, atol=SAME_TRANSFORM):
        return sform
    return qform


def _qform(path: Path, fields: np.void, spacing_xyz: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 4"]:
    bcd = fields["quatern_bcd"].astype(np.float64)
    squared = float(bcd @ bcd)
    if not squared <= 1 + UNIT_QUATERNION:
        raise InputError(f"{path}: quatern_b, c, d = {listed(bcd)}, expected those of a rotation: save it again")
    axes = spatial.transform.Rotation.from_quat([*bcd, max(0.0, 1 - squared) ** 0.5]).as_matrix()
    # pixdim[0] says whether the z axis is turned round after the rotation, which alone cannot mirror.
    axes[:, 2] *= -1 if fields["pixdim"][0] < 0 else 1
    return np.column_stack([axes * spacing_xyz, fields["qoffset_xyz"].astype(np.float64)])


def _is_rigid(transform: Float[np.ndarray, "3 4"]) -> bool:
    lengths = np.linalg.norm(transform[:, :3], axis=0)
    if not lengths.all():
        return False
    axes = transform[:, :3] / lengths
    return np.allclose(axes @ axes.T, np.eye(3), rtol=0, atol=ORTHONORMAL_TOLERANCE)
