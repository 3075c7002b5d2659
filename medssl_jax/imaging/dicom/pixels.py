"""The HU of one DICOM slice: its pixels, decompressed, times slope plus intercept.

No decoder is given anything before the size that the compressed image states is that of the header: a decoder would set
memory aside for what it reads. SimpleITK's decoders are not used: damaged images end its process.
"""

import math
import re
import struct

import numpy as np
from etils import epy
from jaxtyping import Integer, Num, UInt

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.dicom.fragments import BIG_ENDIAN, UNCOMPRESSED, read_fragments
from medssl_jax.imaging.dicom.headers import Header
from medssl_jax.imaging.jpeg import BLOCK, ENDING, PROCESSES, SCAN, JpegHeader, decode_jpeg, read_jpeg_header

with epy.lazy_imports():
    import imagecodecs

JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
RUN_LENGTHS = "1.2.840.10008.1.2.5"
READABLE = frozenset((*UNCOMPRESSED, *JPEG, *JPEG_LS, *JPEG_2000, RUN_LENGTHS))
JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
# Two ways that a JPEG cut short could have gone on; any would do that are no markers.
CONTINUATIONS = (bytes(32), bytes(range(0x35, 0xF5, 6)))

Decoded = tuple[Integer[np.ndarray, "rows columns"], int]  # pixels, and the bits of each


def read_slice(header: Header) -> Num[np.ndarray, "rows columns"]:
    """The HU of a slice, integers where slope and intercept let them be, by its own header.

    Raises:
      InputError: the pixels are not of the size and kind that the header says, or damaged.
    """
    try:
        stored = _stored(header)
    except OSError as error:
        raise InputError(f"{header.path}: cannot be read: {error.strerror or error}: copy it again") from None
    except (InputError, ValueError, RuntimeError) as error:
        raise InputError(f"{header.path}: its pixels cannot be read ({error}): copy or export it again") from None
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if slope == 1 and intercept == int(intercept):
        return stored.astype(np.int32 if stored.itemsize < 4 else np.int64) + int(intercept)
    return stored * np.float64(slope) + intercept


def _stored(header: Header) -> Integer[np.ndarray, "rows columns"]:
    """The pixels as they are stored, integers of BitsAllocated, signed if PixelRepresentation says so."""
    shape, allocated = (header.get("Rows"), header.get("Columns")), header.get("BitsAllocated")
    syntax, is_signed = header.get("TransferSyntaxUID"), bool(header.get("PixelRepresentation"))
    data = read_fragments(header.path, header.fragments, syntax)
    bits = header.get("BitsStored")
    if syntax in UNCOMPRESSED:
        kind = f"{'>' if syntax == BIG_ENDIAN else '<'}u{allocated // 8}"
        pixels = np.frombuffer(data, kind, count=shape[0] * shape[1]).reshape(shape)
    elif syntax == RUN_LENGTHS:
        pixels = _run_lengths(data, shape, allocated // 8)
    else:
        decode = _jpeg_2000 if syntax in JPEG_2000 else _jpeg_ls if syntax in JPEG_LS else _jpeg
        pixels, bits = decode(data, shape)
        if bits > allocated:
            raise ValueError(f"pixels of {bits} bits, expected {allocated} at most")
        # A lossy image may go beyond BitsStored; only where its sign is, its own bits tell.
        bits = bits if is_signed else allocated
    numbers = pixels.astype(f"u{allocated // 8}", copy=False).view(f"{'i' if is_signed else 'u'}{allocated // 8}")
    # Up and down again: above the bits in use may be anything, as overlays once were, and the sign spreads.
    unused = allocated - bits
    return numbers << unused >> unused if unused else numbers


def _to_end(data: bytes) -> bytes:
    """JPEG data up to their end; what is cut short lacks it, and CharLS looks for it for ever."""
    data = data.rstrip(b"\0")
    if not data.endswith(ENDING):
        raise ValueError("JPEG data cut short")
    return data


def _check_size(height: int, width: int, channels: int, shape: tuple[int, int]) -> None:
    if (height, width, channels) != (*shape, 1):
        found = f"{height} x {width} pixels of {channels} channels"
        raise ValueError(f"an image of {found}, expected {shape[0]} x {shape[1]} of 1")


def _jpeg(data: bytes, shape: tuple[int, int]) -> Decoded:
    """The pixels and the bits of each, like the other decoders."""
    data = _to_end(data)
    header = read_jpeg_header(data)
    _check_size(header.height, header.width, header.channels, shape)
    if header.precision == 8 and not _is_lossless(header):
        return decode_jpeg(data, sizes=[shape], channels=[1])[..., 0], 8
    if data.count(SCAN, header.scan_begins) > 1:
        raise ValueError("JPEG of several scans, expected one")
    one, other = (imagecodecs.jpeg8_decode(data[: -len(ENDING)] + more + ENDING) for more in CONTINUATIONS)
    # libjpeg makes up what is missing; then it depends on what comes after.
    if not np.array_equal(one, other) or _lacks_restarts(header, data):
        raise ValueError("JPEG data cut short")
    return one, header.precision


def _lacks_restarts(header: JpegHeader, data: bytes) -> bool:
    if not header.restart_interval:
        return False
    unit = 1 if _is_lossless(header) else BLOCK
    units = math.ceil(header.height / unit) * math.ceil(header.width / unit)
    found = len(re.findall(rb"\xff[\xd0-\xd7]", data[header.pixels_begin :]))
    return found < math.ceil(units / header.restart_interval) - 1


def _is_lossless(header: JpegHeader) -> bool:
    return PROCESSES.get(header.process) == "lossless"


def _jpeg_ls(data: bytes, shape: tuple[int, int]) -> Decoded:
    data = _to_end(data)
    frame = data.find(b"\xff\xf7")
    if frame < 0 or len(data) < frame + 10:
        raise ValueError("JPEG-LS data without a frame")
    precision, height, width, channels = struct.unpack(">BHHB", data[frame + 4 : frame + 10])
    _check_size(height, width, channels, shape)
    return imagecodecs.jpegls_decode(data, out=np.empty(shape, np.uint8 if precision <= 8 else np.uint16)), precision


def _jpeg_2000(data: bytes, shape: tuple[int, int]) -> Decoded:
    begins = data.find(JPEG_2000_SIZE)  # some writers put the boxes of a JP2 file before it
    size = data[begins + 8 : begins + 43]
    if begins < 0 or len(size) < 35:
        raise ValueError("no JPEG 2000 data")
    right, bottom, left, top, *_, channels, depth = struct.unpack(">8IHB", size)
    _check_size(bottom - top, right - left, channels, shape)
    return imagecodecs.jpeg2k_decode(data[begins:]), (depth & 0x7F) + 1


def _run_lengths(data: bytes, shape: tuple[int, int], planes: int) -> UInt[np.ndarray, "rows columns"]:
    """Segments of bytes, the most significant byte of all pixels first."""
    if len(data) < 64:
        raise ValueError("run lengths cut short")
    count, *offsets = struct.unpack("<16I", data[:64])
    if count != planes:
        raise ValueError(f"{count} segments, expected {planes}")
    begins = [*offsets[:count], len(data)]
    if begins != sorted(begins) or begins[0] < 64:
        raise ValueError("segments that do not follow each other")
    length = shape[0] * shape[1]
    bytes_of_pixels = np.empty((length, planes), np.uint8)
    for plane in range(planes):
        segment = _unpack_bits(data[begins[plane] : begins[plane + 1]], length)
        bytes_of_pixels[:, planes - 1 - plane] = np.frombuffer(segment, np.uint8)
    return bytes_of_pixels.view(f"<u{planes}").reshape(shape)


def _unpack_bits(packed: bytes, length: int) -> bytearray:
    """PackBits: a byte below 128 counts bytes that follow, one above says how often the next is repeated."""
    unpacked, place = bytearray(), 0
    while len(unpacked) < length and place + 1 < len(packed):
        control = packed[place]
        if control < 128:
            unpacked += packed[place + 1 : place + 2 + control]
            place += 2 + control
        elif control > 128:
            unpacked += packed[place + 1 : place + 2] * (257 - control)
            place += 2
        else:
            place += 1
    if len(unpacked) != length:
        raise ValueError(f"{len(unpacked)} bytes in a segment of run lengths, expected {length}")
    return unpacked
