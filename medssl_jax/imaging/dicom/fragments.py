"""DICOM files as bytes: what they inflate to, and where in them the pixels lie.

What a file says of its own lengths is held against its length before anything is read.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from etils import epy

from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    from pydicom import filereader

PREAMBLE_BYTES, MARK = 128, b"DICM"
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
UNCOMPRESSED = (IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED)
LARGEST_INFLATED_BYTES = 1 << 26  # a slice of 4096 x 4096 voxels takes half of it
META_GROUP = 0x0002
FLOAT_PIXELS, PIXELS = 0x7FE00008, 0x7FE00010  # what else is read lies before both
ITEM, END_OF_ITEMS = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
UNDEFINED_LENGTH = 0xFFFFFFFF


class NotDicomError(Exception):
    """A file without DICOM's mark."""


class Fragment(NamedTuple):
    """Some bytes of the pixels: where they begin, in the file or in what it inflates to, and how many they are."""

    offset: int
    length: int


class Opened(NamedTuple):
    """A file after its meta header, at the data set, in what it inflates to if it is deflated."""

    stream: BinaryIO
    length: int
    meta: Any
    transfer_syntax: str


def open_dicom(path: Path) -> Opened:
    """Opens a file and reads its meta header; the caller closes the stream.

    Raises:
      NotDicomError: it has not DICOM's mark.
      InputError: it does not inflate, or to more than `LARGEST_INFLATED_BYTES`; without the name of the file.
      OSError, or what pydicom raises where it cannot read the meta header.
    """
    file = _File(path)
    try:
        if file.read(PREAMBLE_BYTES + len(MARK))[PREAMBLE_BYTES:] != MARK:
            raise NotDicomError
        meta = filereader.read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != META_GROUP)
        syntax = str(meta.get("TransferSyntaxUID", ""))
        if syntax != DEFLATED:
            return Opened(file, file.length, meta, syntax)
        with file:
            inflated = _inflate(file.read())
        return Opened(io.BytesIO(inflated), len(inflated), meta, syntax)
    except BaseException:
        file.close()
        raise


def find_fragments(opened: Opened) -> tuple[Fragment, ...]:
    """The places of the pixels, from the stream at their element: one fragment where they are not compressed.

    It ends where the file does, at the latest. Of compressed pixels the table of offsets is left out.

    Raises:
      InputError: no pixels, or pixels cut short; the message begins with the problem's name, and names no file.
    """
    stream, is_big_endian = opened.stream, opened.transfer_syntax == BIG_ENDIAN
    order = ">" if is_big_endian else "<"
    head = stream.read(8)
    if len(head) < 8:
        raise InputError("truncated file: it ends before its pixels")
    if struct.unpack(f"{order}HH", head[:4]) != (PIXELS >> 16, PIXELS & 0xFFFF):
        raise InputError("no pixels: it has no PixelData")
    if opened.transfer_syntax == IMPLICIT:
        length = head[4:]
    elif head[4:6] in (b"OB", b"OW"):
        length = stream.read(4)
    else:
        raise InputError(f"no pixels: PixelData of the kind {head[4:6]!r}, expected OB or OW")
    (count,) = struct.unpack(f"{order}I", length.ljust(4, b"\0"))
    if opened.transfer_syntax in UNCOMPRESSED:
        return (Fragment(stream.tell(), min(count, opened.length - stream.tell())),)
    if count != UNDEFINED_LENGTH:
        raise InputError("no pixels: PixelData is not compressed, as its TransferSyntaxUID says")
    fragments = tuple(_items(stream, opened.length))[1:]
    if not any(fragment.length for fragment in fragments):
        raise InputError("no pixels: its PixelData is empty")
    return fragments


def read_fragments(path: Path, fragments: tuple[Fragment, ...], transfer_syntax: str) -> bytes:
    """The bytes of the pixels, one fragment after the other. Raises `InputError` or `OSError`."""
    if transfer_syntax == DEFLATED:
        stream: BinaryIO = open_dicom(path).stream
    else:
        stream = path.open("rb")
    with stream:
        parts = []
        for offset, length in fragments:
            stream.seek(offset)
            parts.append(stream.read(length))
            if len(parts[-1]) < length:
                raise InputError("it has become shorter since its header was read")
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _File(io.BufferedReader):
    """A file that is never asked for more bytes than it has.

    Python would allocate what is asked for, and a field of a few bytes may claim to be 4 GB.
    """

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self.length = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self.length if size is None or size < 0 else min(size, self.length))


def _inflate(deflated: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, LARGEST_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise InputError(f"does not inflate ({error})") from None
    if len(inflated) > LARGEST_INFLATED_BYTES:
        raise InputError(f"inflates to more than {LARGEST_INFLATED_BYTES >> 20} MiB, expected one slice")
    if not inflater.eof:
        raise InputError("does not inflate (its stream is cut short)")
    return inflated


def _items(stream: BinaryIO, end: int) -> Iterator[Fragment]:
    while (head := stream.read(8))[:4] == ITEM and len(head) == 8:
        fragment = Fragment(stream.tell(), int.from_bytes(head[4:], "little"))
        if fragment.offset + fragment.length > end:
            raise InputError("truncated file: it ends within its pixels")
        yield fragment
        stream.seek(fragment.length, os.SEEK_CUR)
    if len(head) < 8:
        raise InputError("truncated file: it ends within its pixels")
    if head[:4] != END_OF_ITEMS:
        raise InputError("no pixels: PixelData is not compressed, as its TransferSyntaxUID says")
