"""The voxels of a volume file: whether the file can hold what its header claims, and its voxels piece by piece.

No header is believed. What it claims is held against the length of the file before anything is allocated: raw voxels
end where the file ends; compressed ones take at most `MOST_EXPANSION` times the bytes that are stored, which deflate
cannot exceed and a mask of almost nothing but zeros comes close to. The checksums of zlib and gzip are checked.
"""

import dataclasses
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Num

from medssl_jax.core.errors import InputError

MOST_EXPANSION = 1032
PIECE_BYTES = 1 << 20
STORED_PIECE_BYTES = 1 << 18
ZLIB_OR_GZIP = 47  # zlib's number for "whichever the stream says it is"


@dataclasses.dataclass(frozen=True)
class VoxelData:
    """The place and the storage of the voxels of a volume.

    At `offset` in `path` the voxels begin, x fastest, or the compressed stream with `bytes_before` them. A value is
    what is stored x `slope` + `intercept`. `claim` is what the header says of size and kind, in its own words.
    """

    path: Path
    offset: int
    dtype: np.dtype
    size_zyx: tuple[int, int, int]
    claim: str
    is_compressed: bool = False
    bytes_before: int = 0
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def voxel_count(self) -> int:
        """The number of voxels."""
        return math.prod(self.size_zyx)

    @property
    def byte_count(self) -> int:
        """The bytes that the voxels take, decompressed."""
        return self.voxel_count * self.dtype.itemsize


def check_length(data: VoxelData) -> None:
    """Raises `InputError` where the file cannot hold, or holds more than, what the header claims."""
    if data.is_compressed:
        check_expansion(data, data.bytes_before + data.byte_count)
        return
    found = max(0, _stored_bytes(data))
    if found != data.byte_count:
        raise _refused(data, f"{'truncated: ' if found < data.byte_count else ''}{found} bytes of data")


def check_expansion(data: VoxelData, byte_count: int) -> None:
    """Raises `InputError` where compressed data cannot become `byte_count` bytes."""
    found = max(0, _stored_bytes(data))
    if byte_count > MOST_EXPANSION * found:
        raise InputError(
            f"{data.path}: {found} bytes of compressed data for {byte_count} bytes of voxels ({data.claim}), expected "
            f"at most {MOST_EXPANSION} times as many: the file is truncated, or its header wrong: copy it again"
        )


def read_pieces(data: VoxelData) -> Iterator[Num[np.ndarray, " n"]]:
    """The values in the order of the file, in arrays of at most `PIECE_BYTES` stored bytes.

    Raises:
      InputError: the file ends too early or too late, does not decompress, or not to what its checksum says.
    """
    with data.path.open("rb") as file:
        file.seek(data.offset)
        stream = Inflated(file) if data.is_compressed else file
        try:
            for _ in _pieces(stream, data.bytes_before):
                pass
            found = 0
            for piece in _pieces(stream, data.byte_count):
                found += len(piece)
                if len(piece) < PIECE_BYTES and found < data.byte_count:
                    raise _refused(data, f"only {found} bytes of voxels")
                yield _values(np.frombuffer(piece, data.dtype), data)
            if stream.read(1):
                raise _refused(data, f"more than {found} bytes of voxels")
        except EOFError:
            raise _refused(data, "truncated: does not decompress to all its bytes") from None
        except zlib.error as error:
            raise InputError(f"{data.path}: does not decompress ({error}): copy the file again") from None


class Inflated:
    """The decompressed bytes of a zlib or gzip stream; the checksums of every member of a gzip file are checked."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._stored = b""
        self._inflate = zlib.decompressobj(ZLIB_OR_GZIP)

    def read(self, count: int) -> bytes:
        """`count` bytes, fewer only where the stream ends; `EOFError` where the file ends before it does."""
        parts = []
        while count > 0 and self._goes_on():
            part = self._inflate.decompress(self._stored, count)
            if not part and not self._stored:
                raise EOFError
            self._stored = self._inflate.unconsumed_tail
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _goes_on(self) -> bool:
        if not self._inflate.eof:
            self._stored = self._stored or self._file.read(STORED_PIECE_BYTES)
            return True
        # Zeros may fill the file up after the last member, as in a block of a tape.
        self._stored = self._inflate.unused_data.lstrip(b"\0")
        while not self._stored and (piece := self._file.read(STORED_PIECE_BYTES)):
            self._stored = piece.lstrip(b"\0")
        if self._stored:
            self._inflate = zlib.decompressobj(ZLIB_OR_GZIP)
        return bool(self._stored)


def _pieces(stream: BinaryIO | Inflated, count: int) -> Iterator[bytes]:
    """`count` bytes; where the stream ends, the rest is missing."""
    for done in range(0, count, PIECE_BYTES):
        yield stream.read(min(PIECE_BYTES, count - done))


def _refused(data: VoxelData, found: str) -> InputError:
    return InputError(
        f"{data.path}: {found}, expected {data.byte_count} ({data.claim}): it is damaged, or its header is that of "
        "another file: copy it again"
    )


def _values(stored: Num[np.ndarray, " n"], data: VoxelData) -> Num[np.ndarray, " n"]:
    if (data.slope, data.intercept) == (1, 0):
        return stored
    # As ITK computes them: two values that round to one HU there are one HU here.
    kind = np.float64 if stored.dtype.itemsize == 8 and stored.dtype.kind == "f" else np.float32
    with np.errstate(over="ignore", invalid="ignore"):  # what is then no number is refused with the others
        scaled = stored.astype(kind).astype(np.float64) * data.slope + data.intercept
        return scaled.astype(kind)


def _stored_bytes(data: VoxelData) -> int:
    return data.path.stat().st_size - data.offset
