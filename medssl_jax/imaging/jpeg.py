"""JPEG images whose header is held against what is expected before a pixel is decoded.

A header of a few bytes may claim 65535 x 65535 pixels, and the decoder would set memory aside for them.
"""

import dataclasses
from collections.abc import Collection, Iterator

import numpy as np
import simplejpeg
from jaxtyping import UInt8

BEGINNING, ENDING, SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
START_OF_SCAN, RESTART_INTERVAL = 0xDA, 0xDD
SEGMENTS = bytes({*range(0xC0, 0xFF)} - {*range(0xD0, 0xD8)})  # restarts have no place before the pixels
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # the other three are tables and an extension
PROCESSES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless"}
BLOCK = 8  # pixels a side
MOST_SCANS = 100  # of a progressive image; each costs as much time as an image
# How libjpeg says that it does not know a kind; what it says of damage is something else.
NOT_SERVED = ("Unsupported", "not implemented", "not supported", "Could not determine")
# Adobe's segment, which says that channels are stored as they are.
NOT_YCBCR = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"


class JpegKindError(ValueError):
    """An image of a kind that is not read, as far as its header tells; nothing says that it is damaged."""


@dataclasses.dataclass(frozen=True)
class JpegHeader:
    """The header of a JPEG image, which ends where the pixels begin.

    `restart_interval` counts units of `unit_height` x `unit_width` pixels, and is 0 where there are no restarts.
    `size_begins`, `scan_begins` and `pixels_begin` are positions in the data, the second that of the scan's marker.
    """

    process: int
    precision: int
    height: int
    width: int
    channels: int
    unit_height: int
    unit_width: int
    restart_interval: int
    size_begins: int
    scan_begins: int
    pixels_begin: int


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Reads what stands before the first scan.

    Raises:
      ValueError: it is no JPEG header, or one cut short.
    """
    frame, restart_interval = None, 0
    for marker, begins, content in _segments(data):
        if marker in FRAMES and frame is None:
            frame = begins, marker, content
        elif marker == RESTART_INTERVAL:
            restart_interval = int.from_bytes(content[:2], "big")
        elif marker == START_OF_SCAN and frame is not None:
            return _header(*frame, restart_interval, scan_begins=begins - 4, pixels_begin=begins + len(content))
    raise ValueError("a JPEG header without a frame and a scan")


def decode_jpeg(
    data: bytes,
    *,
    sizes: Collection[tuple[int, int]],
    channels: Collection[int],
    tables: bytes | None = None,
    is_rgb: bool = False,
) -> UInt8[np.ndarray, "height width channels"]:
    """Decodes an image that has one of the expected `sizes` (height, width) and numbers of `channels`, 1 or 3.

    `tables` are those that TIFF keeps apart; `is_rgb` says that three channels are not YCbCr, which data without a mark
    of their own would be taken for.

    Raises:
      JpegKindError: another size, number of channels or depth than 8 bit, or a process that is not read.
      ValueError: no JPEG data, or pixels that are damaged, as far as their codes and length tell.
    """
    header = read_jpeg_header(data)
    _check_kind(header, sizes, channels)
    if (scans := data.count(SCAN, header.scan_begins)) > MOST_SCANS:
        raise JpegKindError(f"JPEG of {scans} scans, expected {MOST_SCANS} at most")
    if tables is not None and any(marker in FRAMES for marker, _, _ in _segments(tables)):
        raise ValueError("an image where JPEG tables should be")
    shared = tables.removeprefix(BEGINNING).removesuffix(ENDING) if tables else b""
    # The last mark counts, so it comes just before the scan.
    mark, scan = NOT_YCBCR if is_rgb else b"", header.scan_begins
    whole = b"".join((BEGINNING, shared, data[len(BEGINNING) : scan], mark, data[scan:]))
    try:
        return simplejpeg.decode_jpeg(whole, "RGB" if header.channels == 3 else "GRAY", strict=True)
    except ValueError as error:
        if any(words in str(error) for words in NOT_SERVED):
            raise JpegKindError(f"JPEG that libjpeg does not read ({error})") from error
        raise


def _check_kind(header: JpegHeader, sizes: Collection[tuple[int, int]], channels: Collection[int]) -> None:
    if header.process not in PROCESSES:
        raise JpegKindError(f"JPEG process SOF{header.process & 15}, expected one of {', '.join(PROCESSES.values())}")
    if header.precision != 8:
        raise JpegKindError(f"JPEG of {header.precision} bit, expected 8 bit")
    if header.channels not in channels:
        raise JpegKindError(f"JPEG of {header.channels} channels, expected {' or '.join(map(str, channels))}")
    if (header.height, header.width) not in sizes:
        expected = " or ".join(f"{width} x {height}" for height, width in sizes)
        raise JpegKindError(f"JPEG of {header.width} x {header.height} pixels, expected {expected}")


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The marker segments up to the first scan, each as its marker, where its content begins, and its content."""
    if not data.startswith(BEGINNING):
        raise ValueError("does not begin as JPEG data do")
    place = len(BEGINNING)
    while place + 1 < len(data) and data[place : place + 2] != ENDING:
        if data[place : place + 2] == b"\xff\xff":  # any number of these may come before a marker
            place += 1
            continue
        if data[place] != 0xFF or data[place + 1] not in SEGMENTS:
            raise ValueError(f"no JPEG marker at byte {place}")
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + length]
        if length < 2 or len(content) != length - 2:
            raise ValueError(f"a JPEG header cut short at byte {place}")
        yield data[place + 1], place + 4, content
        if data[place + 1] == START_OF_SCAN:
            return
        place += 2 + length


def _header(
    begins: int, process: int, content: bytes, restart_interval: int, scan_begins: int, pixels_begin: int
) -> JpegHeader:
    channels = content[5] if len(content) > 5 else 0
    sampling = content[7 : 6 + 3 * channels : 3]
    if not channels or len(sampling) < channels or not all(factors >> 4 and factors & 15 for factors in sampling):
        raise ValueError("a JPEG frame that tells of no pixels")
    if channels == 1:  # it is not interleaved, whatever its sampling
        sampling = b"\x11"
    return JpegHeader(
        process=process,
        precision=content[0],
        height=int.from_bytes(content[1:3], "big"),
        width=int.from_bytes(content[3:5], "big"),
        channels=channels,
        unit_height=BLOCK * max(factors & 15 for factors in sampling),
        unit_width=BLOCK * max(factors >> 4 for factors in sampling),
        restart_interval=restart_interval,
        size_begins=begins + 1,
        scan_begins=scan_begins,
        pixels_begin=pixels_begin,
    )
