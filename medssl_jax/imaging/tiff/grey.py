"""An image of a TIFF file, the full one or a reduced one, as one grey channel, decoded piece by piece.

A piece is a tile, or some rows of a file of strips. Only the pieces that are asked for are read, so a large file costs
no memory.
"""

import copy
import math
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.jpeg import JpegKindError
from medssl_jax.imaging.tiff.codecs import GREEN, decode_segment
from medssl_jax.imaging.tiff.image import MIN_IS_WHITE, TiffImage, full_image, reduced_image

# One-row strips are common, and handing them on one by one costs more than decoding them.
ROWS_PER_PIECE = 64


class GreyTiff:
    """The largest image of a file: 8 bit, grey or the green of three channels. Threads may share it.

    Pieces are numbered row by row. Black is 0, also where the file counts from white to black, as libvips has it.

    Raises:
      InputError: not a TIFF, truncated, or an image of another kind.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115 - close() is the caller's
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error.strerror}), expected a TIFF file") from None
        try:
            self._take(full_image(self.path, self._file))
        except BaseException:
            self.close()
            raise

    def reduced(self, most: int) -> "tuple[int, GreyTiff] | None":
        """The smallest level of a pyramid that is at most `most` times smaller, and how many times; None without one.

        It is open as long as this image is. Raises `InputError` where a level is truncated or damaged.
        """
        found = reduced_image(self.path, self._file, self._image, most)
        if found is None:
            return None
        reduction, image = found
        level = copy.copy(self)
        level._take(image)
        return reduction, level

    def _take(self, image: TiffImage) -> None:
        self._image = image
        self.height, self.width, self.channels = image.height, image.width, image.channels
        self._is_one_block = image.is_one_block
        if self._is_one_block:
            self.piece_height, self.piece_width = ROWS_PER_PIECE, self.width
        else:
            joined = 1 if image.is_tiled else max(1, ROWS_PER_PIECE // image.segment_height)
            self.piece_height, self.piece_width = joined * image.segment_height, image.segment_width
        self._pieces_across = math.ceil(self.width / self.piece_width)

    def pieces(self, top: int, bottom: int, left: int, right: int) -> list[int]:
        """The pieces under rows `top` to `bottom` and columns `left` to `right`; the ends are exclusive."""
        rows = range(top // self.piece_height, math.ceil(bottom / self.piece_height))
        columns = range(left // self.piece_width, math.ceil(right / self.piece_width))
        return [row * self._pieces_across + column for row in rows for column in columns]

    def corner(self, piece: int) -> tuple[int, int]:
        """The first row and the first column of a piece."""
        row, column = divmod(piece, self._pieces_across)
        return row * self.piece_height, column * self.piece_width

    @property
    def has_rows_apart(self) -> bool:
        """True where the file is neither compressed nor tiled, so that single rows can be read."""
        return self._is_one_block

    def row(self, number: int, left: int, right: int) -> UInt8[np.ndarray, " columns"]:
        """Columns `left` to `right` of a row of an image that `has_rows_apart`; nothing else is read.

        Raises:
          InputError: they cannot be read, or the file ends before them.
        """
        image = self._image
        pixel = image.channels_together
        offset, wanted = self._first_byte + number * image.segment_row + left * pixel, (right - left) * pixel
        try:
            data = os.pread(self._file.fileno(), wanted, offset)
        except OSError as error:
            raise InputError(
                f"{self.path}: row {number} cannot be read ({error.strerror}): copy or export the file again"
            ) from error
        if len(data) < wanted:
            raise InputError(
                f"{self.path}: row {number} ends after {len(data)} of {wanted} bytes: the file is damaged, copy or "
                "export it again"
            )
        pixels = np.frombuffer(data, np.uint8).reshape(-1, pixel)[:, GREEN if pixel == 3 else 0]
        return ~pixels if image.photometric == MIN_IS_WHITE else pixels

    def decode(self, piece: int) -> UInt8[np.ndarray, "height width"]:
        """The pixels of a piece; a tile at the border may reach beyond the image.

        Raises:
          InputError: they cannot be decoded.
        """
        top, left = self.corner(piece)
        bottom = min(top + self.piece_height, self.height)
        try:
            if self._is_one_block:
                pixels = self._map_rows(top, bottom)
            elif self._image.is_tiled:
                pixels = self._decode_segment(piece)
            else:
                strips = range(top // self._image.segment_height, math.ceil(bottom / self._image.segment_height))
                pixels = np.concatenate([self._decode_segment(strip) for strip in strips])
        except JpegKindError as error:
            raise InputError(
                f"{self.path}: the {self._kind} at row {top}, column {left} is {error}: export it so"
            ) from error
        # imagecodecs raises RuntimeError.
        except (ValueError, RuntimeError, OSError) as error:
            raise InputError(
                f"{self.path}: the {self._kind} at row {top}, column {left} cannot be decoded ({error}): "
                "the file is damaged, copy or export it again"
            ) from error
        return ~pixels if self._image.photometric == MIN_IS_WHITE else pixels

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    @property
    def _kind(self) -> str:
        return "tile" if self._image.is_tiled else "strip"

    @property
    def _first_byte(self) -> int:
        """Where the first row of the one channel lies, in an image that is one block."""
        skipped_planes = GREEN * self.height * self.width if self._image.planes else 0
        return int(self._image.offsets[0]) + skipped_planes

    def _map_rows(self, top: int, bottom: int) -> UInt8[np.ndarray, "rows columns"]:
        """Rows of an uncompressed image; a map of its own for each piece, so that memory is given back with it."""
        image = self._image
        offset = self._first_byte + top * image.segment_row
        shape = (bottom - top, self.width, image.channels_together)
        rows = np.memmap(self.path, np.uint8, "r", offset=offset, shape=shape)
        return np.asarray(rows)[..., GREEN if image.channels_together == 3 else 0]

    def _decode_segment(self, number: int) -> UInt8[np.ndarray, "rows columns"]:
        image = self._image
        if image.planes:
            number += GREEN * image.segments_across * image.segments_down
        data = os.pread(self._file.fileno(), int(image.counts[number]), int(image.offsets[number]))
        return decode_segment(image, number, data)
