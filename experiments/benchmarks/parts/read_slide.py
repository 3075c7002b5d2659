"""Reading a whole slide, low-resolution image and all patches, beside libvips, which makes the image alone.

Each reading runs in a process of its own, from files that were just written, so the disk takes no part. Our pass yields
every patch, with two decoding threads; libvips works in its sequential mode, with as many threads as there are
processors. Needs pyvips (the extra `test`). A slide of LKS: --read_slide.grid=40, five minutes and 2 GB of disk.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from experiments.benchmarks.bench import Bench, Measurement
from experiments.benchmarks.own_process import in_own_process
from medssl_jax.imaging.slides import SlideLayout, TiffSlide

SMALLEST = {"grid": 2, "patch_side": 128, "shrink": 8}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "uncompressed strips": {},
    "LZW strips": {"rowsperstrip": 16, "compression": "lzw"},
    "LZW tiles": {"tile": (256, 256), "compression": "lzw"},
}
RANDOM_PATCHES = 10


def measure(bench: Bench, *, grid: int = 8, patch_side: int = 1000, shrink: int = 40) -> list[Measurement]:
    """Writes a slide of each kind and reads it both ways in turns. Raises `ValueError` where they do not agree."""
    layout = SlideLayout(grid, patch_side, shrink)
    measured = []
    for kind, options in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "slide.tif"
            in_own_process(write_slide, path, layout.side + 10, options)
            pairs = [
                (in_own_process(one_pass, path, layout), in_own_process(_libvips, path, layout))
                for _ in range(bench.pairs)
            ]
            if len({each.result for pair in pairs for each in pair}) > 1:
                raise ValueError(f"{kind}: the low-resolution image is not that of libvips")
            ours, libvips = zip(*pairs, strict=True)
            notes = {
                "file MB": path.stat().st_size / 1e6,
                "peak MB": max(each.peak_mb for each in ours),
                "its peak MB": max(each.peak_mb for each in libvips),
                "ms a random patch": in_own_process(_random_patches, path, layout).result,
            }
        costs, costs_beside = [each.cost for each in ours], [each.cost for each in libvips]
        work = f"{layout.side}^2, {kind}"
        measured.append(Measurement(work, costs, "libvips, low only", costs_beside, notes))
    return measured


def one_pass(path: Path, layout: SlideLayout) -> str:
    """Reads every patch, and returns the digest of the low-resolution image."""
    digest = hashlib.sha256()
    with TiffSlide(path, layout) as slide:
        for band in slide.bands():
            digest.update(band.low.tobytes())
        assert slide.patches_read == layout.grid**2
    return digest.hexdigest()


def _random_patches(path: Path, layout: SlideLayout) -> float:
    """Milliseconds a patch."""
    chosen = np.random.default_rng(0).integers(layout.grid**2, size=RANDOM_PATCHES)
    with TiffSlide(path, layout) as slide:
        begin = time.perf_counter()
        for index in chosen:
            next(slide.patches([index]))
        return (time.perf_counter() - begin) / RANDOM_PATCHES * 1000


def _libvips(path: Path, layout: SlideLayout) -> str:
    import pyvips

    slide = pyvips.Image.new_from_file(str(path), access="sequential")
    top, left = (slide.height - layout.side) // 2, (slide.width - layout.side) // 2
    low = slide.crop(left, top, layout.side, layout.side).shrink(layout.shrink, layout.shrink)
    return hashlib.sha256(low.numpy().tobytes()).hexdigest()


def write_slide(path: Path, side: int, options: Mapping[str, Any]) -> None:
    """Writes a grey TIFF of noise in a disc, in one of the `KINDS`."""
    import imagecodecs
    import tifffile

    shape, rows = (side, side), options.get("rowsperstrip", 256)
    bands = (disc_rows(side, top, min(rows, side - top)) for top in range(0, side, rows))
    if not options:
        # tifffile takes strips one by one only where they are encoded.
        pixels = tifffile.memmap(path, shape=shape, dtype=np.uint8, photometric="minisblack")
        for number, band in enumerate(bands):
            pixels[number * rows : number * rows + len(band)] = band
        return
    pieces = (tile for band in bands for tile in _tiles(band, rows)) if "tile" in options else bands
    encoded = (bytes(imagecodecs.lzw_encode(piece.tobytes())) for piece in pieces)
    tifffile.imwrite(path, encoded, shape=shape, dtype=np.uint8, photometric="minisblack", **options)


def _tiles(band: UInt8[np.ndarray, "rows columns"], side: int) -> Iterator[UInt8[np.ndarray, "{side} {side}"]]:
    """A row of tiles, those at the border filled up with black."""
    height, width = band.shape
    padded = np.pad(band, ((0, side - height), (0, -width % side)))
    return (padded[:, left : left + side] for left in range(0, width, side))


def disc_rows(side: int, top: int, height: int, number: int = 0) -> UInt8[np.ndarray, "{height} {side}"]:
    """Rows of a dark, structured disc with black corners, which LZW compresses as it does a real slide.

    Its noise is that of slide `number`.
    """
    y = (np.arange(top, top + height, dtype=np.float32) / side - 0.5)[:, None]
    x = (np.arange(side, dtype=np.float32) / side - 0.5)[None]
    structure = 12 + 8 * np.sin(900 * y) * np.sin(700 * x)
    noise = np.random.default_rng((top, number)).integers(0, 6, (height, side), np.uint8)
    return np.where(np.hypot(y, x) < 0.5, structure.astype(np.uint8) + noise, 0).astype(np.uint8)
