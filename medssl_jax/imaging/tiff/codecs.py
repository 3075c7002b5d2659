"""The pixels of one segment (strip or tile) of a TIFF image, as one grey channel.

Every decoder is told how much to expect, and gives no more: what a segment claims of itself sets no memory aside.
"""

import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
from jaxtyping import UInt8

from medssl_jax.imaging.jpeg import ENDING, decode_jpeg
from medssl_jax.imaging.tiff.image import DEFLATE, JPEG, LZW, NOT_COMPRESSED, PACKBITS, RGB, ZSTD, TiffImage

GREEN = 1


def decode_segment(image: TiffImage, number: int, data: bytes) -> UInt8[np.ndarray, "rows columns"]:
    """Decodes the grey channel of segment `number`, or the green of three, from the bytes of the file.

    A tile may reach beyond the image, or, of JPEG, end with it.

    Raises:
      JpegKindError: JPEG of another kind than the header of the file says.
      ValueError, RuntimeError: damaged.
    """
    decode = _decode_jpeg if image.compression == JPEG else _decode_bytes
    pixels = decode(image, number, data)
    green = pixels[..., GREEN if pixels.shape[-1] == 3 else 0]
    if image.differences:
        return imagecodecs.delta_decode(np.ascontiguousarray(green), axis=-1)
    return np.ascontiguousarray(green)


def _decode_jpeg(image: TiffImage, number: int, data: bytes) -> UInt8[np.ndarray, "rows columns channels"]:
    if image.jpeg_header is not None:
        data = image.jpeg_header + data + ENDING
    return decode_jpeg(
        data,
        sizes=image.sizes_of(number),
        channels=[image.channels_together],
        tables=image.jpeg_tables,
        is_rgb=image.photometric == RGB,
    )


def _decode_bytes(image: TiffImage, number: int, data: bytes | bytearray) -> UInt8[np.ndarray, "rows columns channels"]:
    rows = int(image.rows_of(number))
    if image.bits_reversed:
        data = imagecodecs.bitorder_decode(data)
    if image.compression == LZW:
        data = _decode_lzw(data, rows, image.segment_row)
    elif image.compression != NOT_COMPRESSED:
        data = DECODERS[image.compression](data, out=image.segment_bytes)
    # The last strip may be stored as long as the others.
    if len(data) not in (rows * image.segment_row, image.segment_bytes):
        raise ValueError(f"{len(data)} bytes of pixels, expected {rows * image.segment_row}")
    return np.frombuffer(data, np.uint8, rows * image.segment_row).reshape(rows, image.segment_width, -1)


def _decode_lzw(data: bytes | bytearray, rows: int, columns: int) -> bytes:
    """Has libtiff decode it, as a TIFF of its own: other decoders trust each code and end the process for a wrong one.

    The fields are width, height, bits, compression, photometric interpretation, offset, channels, rows, bytes.
    """
    fields = {256: columns, 257: rows, 258: 8, 259: LZW, 262: 1, 273: 0, 277: 1, 278: rows, 279: len(data)}
    fields[273] = begins = 8 + 2 + 12 * len(fields) + 4
    directory = b"".join(struct.pack("<HHII", field, 4, 1, value) for field, value in fields.items())
    header = struct.pack("<2sHIH", b"II", 42, 8, len(fields)) + directory + bytes(4)
    assert len(header) == begins
    return imagecodecs.tiff_decode(header + data).tobytes()


DECODERS: dict[int, Callable[..., bytes | bytearray]] = {
    PACKBITS: imagecodecs.packbits_decode,
    **dict.fromkeys(DEFLATE, imagecodecs.deflate_decode),
    **dict.fromkeys(ZSTD, imagecodecs.zstd_decode),
}
