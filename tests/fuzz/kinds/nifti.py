"""NIfTI-1, plain and gzipped, with either or both of its transforms: header fields, voxels, and the gzip round them."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import scipy.spatial.transform  # noqa: F401 - imported once, or each input would wait for it
import SimpleITK as sitk

from tests.fuzz import volumes
from tests.fuzz.damage import EXTREME_FLOATS, EXTREME_INTEGERS, damage_file, damaged
from tests.fuzz.oracle import Beyond, MustRefuse

VARIANTS = ("plain", "gzip", "qform", "sform", "scaled", "floats", "big-endian", "bytes")
HEADER_BYTES = 348
# Name: offset in the header, struct's code, how many.
FIELDS = {
    "sizeof_hdr": (0, "i", 1),
    "dim_info": (39, "B", 1),
    "dim": (40, "h", 8),
    "intent_code": (68, "h", 1),
    "datatype": (70, "h", 1),
    "bitpix": (72, "h", 1),
    "slice_start": (74, "h", 1),
    "pixdim": (76, "f", 8),
    "vox_offset": (108, "f", 1),
    "scl_slope": (112, "f", 1),
    "scl_inter": (116, "f", 1),
    "slice_end": (120, "h", 1),
    "xyzt_units": (123, "B", 1),
    "cal_max": (124, "f", 1),
    "toffset": (136, "f", 1),
    "qform_code": (252, "h", 1),
    "sform_code": (254, "h", 1),
    "quatern": (256, "f", 3),
    "qoffset": (268, "f", 3),
    "srow": (280, "f", 12),
}
TEXT_FIELDS = {"descrip": (148, 80), "aux_file": (228, 24), "intent_name": (328, 16), "magic": (344, 4)}
DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
HUGE_SIZES = ((1310, 1310, 1310), (32767, 32767, 1), (32767, 32767, 32767), (1, 32767, 32767))
MM_OF_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


def make(folder: Path, variant: str) -> None:
    """Written by SimpleITK, then changed into the variant."""
    dtype = {"floats": "<f4", "bytes": "u1"}.get(variant, "<i2")
    path = folder / ("scan.nii.gz" if variant in ("gzip", "scaled") else "scan.nii")
    sitk.WriteImage(volumes.as_image(volumes.hounsfield_units(dtype)), str(path))
    data = bytearray(_opened(path))
    if variant == "qform":
        _set(data, "sform_code", [0], "<")
        _set(data, "srow", [0.0] * 12, "<")
    if variant == "sform":
        _set(data, "qform_code", [0], "<")
        _set(data, "quatern", [0.0] * 3, "<")
    if variant == "scaled":
        _set(data, "scl_slope", [2.0], "<")
        _set(data, "scl_inter", [-24.0], "<")
    if variant == "big-endian":
        for name in FIELDS:
            _set(data, name, _get(data, name, "<"), ">")
        data[352:] = np.frombuffer(data[352:], "<i2").astype(">i2").tobytes()
    _close(path, bytes(data))


def mutate(folder: Path, variant: str, rng) -> str:
    """Header fields, bytes of the file, or bytes within an intact gzip."""
    path = volumes.path_in(folder)
    way = rng.choice(("field", "field", "field", "bytes", "within", "text"))
    if way == "bytes":
        return damage_file(path, rng)
    data = bytearray(_opened(path))
    if way == "within":
        data, told = damaged(bytes(data), rng)
        _close(path, data)
        return f"within: {told}"
    if way == "text":
        name = rng.choice(tuple(TEXT_FIELDS))
        start, length = TEXT_FIELDS[name]
        data[start : start + length] = rng.choice((b"", b"\xff" * length, b"n+2\0", b"ni1\0", rng.randbytes(4))).ljust(
            length, b"\0"
        )[:length]
        told = f"{name} is {bytes(data[start : start + length])!r}"
    else:
        name = "dim" if rng.random() < 0.1 else rng.choice(tuple(FIELDS))
        order = ">" if variant == "big-endian" else "<"
        values = list(_get(data, name, order))
        place = rng.randrange(len(values))
        if name == "dim" and rng.random() < 0.5:
            values[1:4], place = rng.choice(HUGE_SIZES), 1
        else:
            values[place] = _other_number(values[place], FIELDS[name][1], rng)
        _set(data, name, values, order)
        told = f"{name}[{place}] is {values[place]}"
    _close(path, bytes(data))
    return told


def _other_number(value, code, rng):
    if code == "f":
        near = (value * 2, value * 1.1, -value, value + 1, value + 0.25)
        return rng.choice((*(each for each in EXTREME_FLOATS if not 1e300 < abs(each) < math.inf), *near))
    bits = 8 * struct.calcsize(code)
    wrapped = rng.choice((*EXTREME_INTEGERS, *DTYPES, value + 1, value - 1, -value)) % 2**bits
    return wrapped - 2**bits if code != "B" and wrapped >= 2 ** (bits - 1) else wrapped


read = volumes.read


def judge(damaged: Path, valid: Path, reading) -> str:
    """By the header's fields, as the standard has them."""
    return volumes.judge(content, damaged, valid, reading)


def content(folder: Path) -> volumes.Content:
    """What the volume is, or why it must be refused."""
    path = volumes.path_in(folder)
    try:
        data = _opened(path)
    except (OSError, EOFError, zlib.error) as error:
        raise MustRefuse(f"its gzip is damaged: {error}") from None
    if len(data) < HEADER_BYTES + 4 or data[344:348] != b"n+1\0":
        raise MustRefuse("it is no NIfTI-1 file")
    order = "<" if _get(data, "sizeof_hdr", "<") == (HEADER_BYTES,) else ">"
    field = {name: _get(data, name, order) for name in FIELDS}
    if field["sizeof_hdr"] != (HEADER_BYTES,):
        raise MustRefuse("its header has another size")
    dims, size_xyz = field["dim"][0], field["dim"][1:4]
    if dims < 3 or dims > 7 or any(size != 1 for size in field["dim"][4 : 1 + dims]):
        raise MustRefuse(f"its dim is {field['dim']}")
    if field["datatype"][0] not in DTYPES:
        raise MustRefuse(f"its datatype is {field['datatype']}")
    dtype = np.dtype(DTYPES[field["datatype"][0]]).newbyteorder(order)
    if field["bitpix"][0] != 8 * dtype.itemsize:
        raise Beyond(f"its bitpix is {field['bitpix']}")
    start = field["vox_offset"][0]
    if not math.isfinite(start) or start != int(start) or start < 352 or start > len(data):
        raise MustRefuse(f"its vox_offset is {start}")
    array = volumes.voxels(data[int(start) :], dtype, size_xyz[::-1])
    slope, intercept = field["scl_slope"][0], field["scl_inter"][0]
    if slope != 0 and not (math.isfinite(slope) and math.isfinite(intercept)):
        raise Beyond(f"its slope is {slope}, its intercept {intercept}")
    if slope != 0 and (slope, intercept) != (1, 0):
        scaled = array.astype(float) * slope + intercept
        array = scaled if dtype.kind == "f" and dtype.itemsize == 8 else scaled.astype(np.float32)  # halves, as of ITK
    unit = field["xyzt_units"][0] & 7
    if unit not in MM_OF_UNIT:
        raise MustRefuse(f"its unit is {unit}")
    spacing, origin, axes = _geometry(field)
    return volumes.Content(array, spacing * MM_OF_UNIT[unit], origin * MM_OF_UNIT[unit], axes)


def _geometry(field):
    """Spacing, origin and axes (LPS), by the sform where there is one, else by the qform."""
    pixdim = np.array(field["pixdim"][1:4])
    if not (np.isfinite(pixdim).all() and (pixdim > 0).all()):
        raise Beyond(f"its pixdim is {pixdim}")
    if field["sform_code"][0] > 0:
        rows = np.array(field["srow"]).reshape(3, 4)
        spacing = np.linalg.norm(rows[:, :3], axis=0)
        if not np.allclose(spacing, pixdim, rtol=1e-3):
            raise Beyond(f"its sform has a spacing of {spacing}, its pixdim is {pixdim}")
        axes, origin = rows[:, :3] / spacing, rows[:, 3]
    elif field["qform_code"][0] > 0:
        axes, spacing, origin = _rotation(field), pixdim, np.array(field["qoffset"])
    else:  # the standard's method 1, which ITK takes for LPS
        axes, spacing, origin = RAS_TO_LPS, pixdim, np.zeros(3)
    return spacing[::-1], RAS_TO_LPS @ origin, RAS_TO_LPS @ axes


def _rotation(field):
    b, c, d = field["quatern"]
    rest = 1 - (b * b + c * c + d * d)
    if not rest > -1e-5:
        raise MustRefuse(f"its quaternion is {b, c, d}")
    a = math.sqrt(max(0.0, rest))
    if field["pixdim"][0] not in (1.0, -1.0):
        raise Beyond(f"its qfac is {field['pixdim'][0]}")
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    return rotation * [1, 1, field["pixdim"][0]]


def _opened(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.name.endswith(".gz") else data


def _close(path, data):
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def _get(data, name, order):
    start, code, count = FIELDS[name]
    return struct.unpack_from(f"{order}{count}{code}", data, start)


def _set(data, name, values, order):
    start, code, count = FIELDS[name]
    struct.pack_into(f"{order}{count}{code}", data, start, *values)
