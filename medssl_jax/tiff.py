"""The full-resolution image of a TIFF file as one grey channel, decoded piece by piece.

A piece is a tile, or some rows of a file of strips. Only the pieces that are asked for are read, so a large file costs
no memory.
"""

import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import UInt8

from medssl_jax.errors import InputError

COMPRESSIONS = {
    1: "none",
    5: "LZW",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34926: "zstd",
    50000: "zstd",
}
MIN_IS_WHITE, MIN_IS_BLACK, RGB, YCBCR = 0, 1, 2, 6
LZW, JPEG = 5, 7
GREEN = 1
# One-row strips are common, and handing them on one by one costs more than decoding them.
ROWS_PER_PIECE = 64

# It tells of every oddity of a header; those that matter are InputErrors here.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


class GreyTiff:
    """The largest image of a file: 8 bit, grey or the green of three channels. Threads may share it.

    Pieces are numbered row by row. Black is 0, also where the file counts from white to black, as libvips has it.

    Raises:
      InputError: not a TIFF, truncated, or an image of another kind.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._page = page = _full_page(self.path)
        self.height, self.width = page.imagelength, page.imagewidth
        self._three = page.samplesperpixel == 3
        self._planes = self._three and page.planarconfig == 2
        self._mapped = page.is_memmappable
        self._tiled = page.is_tiled and not self._mapped
        if self._tiled:
            self.piece_height, self.piece_width = page.tilelength, page.tilewidth
        elif self._mapped:
            self.piece_height, self.piece_width = ROWS_PER_PIECE, self.width
        else:
            self._strips_per_piece = max(1, ROWS_PER_PIECE // page.rowsperstrip)
            self.piece_height, self.piece_width = self._strips_per_piece * page.rowsperstrip, self.width
        self._pieces_across = math.ceil(self.width / self.piece_width)
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115 - close() is the caller's
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error.strerror}), expected a TIFF file") from None

    def pieces(self, top: int, bottom: int, left: int, right: int) -> list[int]:
        """The pieces under rows `top` to `bottom` and columns `left` to `right`; the ends are exclusive."""
        rows = range(top // self.piece_height, math.ceil(bottom / self.piece_height))
        columns = range(left // self.piece_width, math.ceil(right / self.piece_width))
        return [row * self._pieces_across + column for row in rows for column in columns]

    def corner(self, piece: int) -> tuple[int, int]:
        """The first row and the first column of a piece."""
        row, column = divmod(piece, self._pieces_across)
        return row * self.piece_height, column * self.piece_width

    def decode(self, piece: int) -> UInt8[np.ndarray, "height width"]:
        """The pixels of a piece; a tile at the border reaches beyond the image.

        Raises:
          InputError: they cannot be decoded.
        """
        top, left = self.corner(piece)
        try:
            if self._mapped:
                pixels = self._map_rows(top, min(top + self.piece_height, self.height))
            elif self._tiled:
                pixels = self._decode_segment(piece)
            else:
                strips = math.ceil(self.height / self._page.rowsperstrip)
                first = piece * self._strips_per_piece
                pixels = np.concatenate(
                    [self._decode_segment(strip) for strip in range(first, min(first + self._strips_per_piece, strips))]
                )
        # tifffile raises ValueError, imagecodecs RuntimeError.
        except (ValueError, RuntimeError, OSError) as error:
            kind = "tile" if self._tiled else "strip"
            raise InputError(
                f"{self.path}: the {kind} at row {top}, column {left} cannot be decoded ({_one_line(error)}): "
                "the file is damaged, copy or export it again"
            ) from error
        return ~pixels if self._page.photometric == MIN_IS_WHITE else pixels

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _map_rows(self, top, bottom):
        """Rows of an uncompressed image; a map of its own for each piece, so that memory is given back with it."""
        samples = 3 if self._three and not self._planes else 1
        skipped_planes = GREEN * self.height * self.width if self._planes else 0
        offset = self._page.dataoffsets[0] + skipped_planes + top * self.width * samples
        shape = (bottom - top, self.width, samples)
        rows = np.memmap(self.path, np.uint8, "r", offset=offset, shape=shape)
        return np.asarray(rows)[..., GREEN if samples == 3 else 0]

    def _decode_segment(self, number):
        if self._planes:
            number += GREEN * (len(self._page.dataoffsets) // 3)
        offset, count = self._page.dataoffsets[number], self._page.databytecounts[number]
        data = os.pread(self._file.fileno(), count, offset)
        if self._page.compression == LZW and not _begins_as_lzw(data):
            raise ValueError("does not begin as LZW data do")
        pixels, _, _ = self._page.decode(data, number, jpegtables=self._page.jpegtables)
        return np.ascontiguousarray(pixels[0, :, :, GREEN if pixels.shape[-1] == 3 else 0])


def _full_page(path):
    try:
        with tifffile.TiffFile(path) as tiff:
            pages: list[Any] = list(tiff.pages)
            page = max(pages, key=lambda page: page.imagelength * page.imagewidth)
            alike = sum(other.hash == page.hash for other in pages)
            # All are lazy, and some need the open file.
            segments = math.prod(page.chunked), len(page.dataoffsets), len(page.databytecounts)
            _ = page.is_memmappable, page.jpegtables, page.decode
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror or error}), expected a TIFF file") from None
    # Whatever the parser trips over in a file that is no TIFF, or half of one.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as TIFF ({_one_line(error)}): copy or export it again") from error
    if alike > 1:
        raise InputError(f"{path}: {alike} images of full size, expected one: export one slide a file")
    _check_kind(path, page)
    if len(set(segments)) > 1:
        raise InputError(
            f"{path}: its header lists {segments[1]} strips or tiles, expected {segments[0]}: copy or export it again"
        )
    _check_whole(path, page)
    return page


def _check_kind(path, page):
    if 0 in page.shaped:
        raise InputError(f"{path}: its header tells of an image without pixels: copy or export it again")
    if page.compression not in COMPRESSIONS:
        names = ", ".join(dict.fromkeys(COMPRESSIONS.values()))
        raise InputError(
            f"{path}: compression {_name(page.compression)}, expected one of {names}: export it with one of those"
        )
    if page.bitspersample != 8 or page.sampleformat != 1:
        raise InputError(
            f"{path}: pixels of {page.bitspersample} bit ({page.dtype}), expected 8 bit unsigned: export it as 8 bit"
        )
    kinds = {(1, MIN_IS_BLACK), (1, MIN_IS_WHITE), (3, RGB)} | ({(3, YCBCR)} if page.compression == JPEG else set())
    if (page.samplesperpixel, page.photometric) not in kinds or page.imagedepth != 1:
        raise InputError(
            f"{path}: {page.samplesperpixel} channels, {_name(page.photometric)}, expected 1 grey channel or RGB: "
            "export it so"
        )


def _check_whole(path, page):
    size = path.stat().st_size
    if min(page.databytecounts) == 0:
        raise InputError(f"{path}: a strip or tile is empty: the file was not written to its end, export it again")
    reaches = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)))
    if page.is_memmappable:
        reaches = max(reaches, page.dataoffsets[0] + page.nbytes)
    if reaches > size:
        raise InputError(f"{path}: truncated: {size} bytes, its header asks for {reaches}: copy or export it again")


def _begins_as_lzw(data):
    """Whether the first code is a clear code and what follows is no string: a table is empty at its beginning.

    imagecodecs does not look, takes the string from memory it never set, and can take the process down with it.
    """
    bits = int.from_bytes(data[:9].ljust(9, b"\0"), "big")
    clear, *codes = [bits >> shift & 511 for shift in range(63, -1, -9)]
    return clear == 256 and next((code for code in codes if code != 256), 256) < 258


def _name(code):
    name = getattr(code, "name", None)
    return f"{int(code)} ({name})" if name else str(code)


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__
