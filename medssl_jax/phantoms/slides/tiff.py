"""Slides as TIFF files of 8-bit grey, written a band of rows at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from etils import epy
from jaxtyping import UInt8

with epy.lazy_imports():
    import imagecodecs
    import tifffile

STRIP_ROWS, TILE_SIDE = 16, 256
SMALLEST_LEVEL = 16  # pixels
COMPRESSIONS = {"none": None, "lzw": "lzw", "deflate": "adobe_deflate"}
# How a slide may lie in its file: strips or tiles, its compression, "big" for BigTIFF.
LAYOUTS = tuple(
    f"{pieces}-{compression}{big}"
    for pieces in ("strips", "tiles")
    for compression in COMPRESSIONS
    for big in ("", "-big")
)

Band = UInt8[np.ndarray, "_rows columns"]  # bands of an image may differ in height


def write_tiff(
    path: Path, bands: Iterable[Band], shape_yx: tuple[int, int], layout: str, *, levels: bool = False
) -> None:
    """Writes an image of `shape_yx`, given as bands of rows from top to bottom, in one of `LAYOUTS`.

    With `levels` a pyramid: its half follows, which memory holds, then that one's, down to a side of `SMALLEST_LEVEL`.
    """
    pieces, compression, *big = layout.split("-")
    is_tiled = pieces == "tiles"
    rows = _bands_of(bands, TILE_SIDE if is_tiled else STRIP_ROWS)
    level = np.empty((shape_yx[0] // 2, shape_yx[1] // 2) if levels else (0, 0), np.uint8)
    if levels:
        rows = _halving(rows, level)
    tiles = (band[:, left : left + TILE_SIDE] for band in rows for left in range(0, shape_yx[1], TILE_SIDE))
    with tifffile.TiffWriter(path, bigtiff=bool(big)) as tiff:
        tiff.write(
            # Of strips, tifffile takes an iterator only where they are encoded.
            tiles if is_tiled else (_encoded(strip, compression) for strip in rows),
            shape=shape_yx,
            dtype=np.uint8,
            tile=(TILE_SIDE, TILE_SIDE) if is_tiled else None,
            rowsperstrip=None if is_tiled else STRIP_ROWS,
            photometric="minisblack",
            compression=COMPRESSIONS[compression],
            predictor=compression == "deflate",
            metadata=None,
            software="medssl_jax phantom",
            maxworkers=1,
        )
        while min(level.shape) >= SMALLEST_LEVEL:
            tiff.write(
                level,
                tile=(TILE_SIDE, TILE_SIDE),
                photometric="minisblack",
                compression=COMPRESSIONS[compression],
                predictor=compression == "deflate",
                subfiletype=1,
                metadata=None,
                maxworkers=1,
            )
            level = _halved(level)


def _halving(bands: Iterable[Band], half: UInt8[np.ndarray, "half_rows half_columns"]) -> Iterator[Band]:
    """The same bands, of an even height but for the last, while their `half` is written."""
    top = 0
    for band in bands:
        few = _halved(band)
        half[top : top + len(few)] = few
        top += len(few)
        yield band


def _halved(pixels: Band) -> UInt8[np.ndarray, "half_rows half_columns"]:
    """Means of 2 x 2 pixels, rounded; an odd last row or column is left out."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    boxes = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return ((boxes.sum(axis=(1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8)


def _encoded(strip: Band, compression: str) -> bytes:
    if compression == "lzw":
        return bytes(imagecodecs.lzw_encode(strip.tobytes()))
    if compression == "deflate":
        return bytes(imagecodecs.zlib_encode(imagecodecs.delta_encode(strip, axis=-1).tobytes()))
    return strip.tobytes()


def _bands_of(bands: Iterable[Band], height: int) -> Iterator[Band]:
    """Yields the same rows in bands of `height`, the last one shorter if need be."""
    waiting: Band | None = None
    for band in bands:
        waiting = band if waiting is None else np.concatenate([waiting, band])
        whole = len(waiting) - len(waiting) % height
        for top in range(0, whole, height):
            yield waiting[top : top + height]
        waiting = waiting[whole:]
    if waiting is not None and len(waiting):
        yield waiting
