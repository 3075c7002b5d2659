"""Seconds and peak memory to read a whole slide: low-resolution image and all patches, and libvips beside it.

    python -m experiments.benchmark read_slide           # 40000 x 40000: about five minutes, 2 GB of disk
    python -m experiments.benchmark read_slide --grid=8  # 8000 x 8000

Each reading runs in a process of its own, from files that were just written, so the disk takes no part. Our pass yields
every patch, with two decoding threads; libvips makes the low-resolution image alone, in its sequential mode, with as
many threads as there are cores. Needs the extra "test", for pyvips.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from jaxtyping import UInt8

from experiments.benchmarks._measured import in_own_process, machine
from medssl_jax.core.progress import progress_bar
from medssl_jax.imaging.slides import SlideLayout, TiffSlide
from medssl_jax.report.text_table import text_table

GRID = flags.DEFINE_integer("grid", 40, "Patches a side; LKS has 40.")
PATCH_SIDE = flags.DEFINE_integer("patch_side", 1000, "Pixels a side of a patch.")
SHRINK = flags.DEFINE_integer("shrink", 40, "Pixels a side that one pixel of the low-resolution image stands for.")
DIRECTORY = flags.DEFINE_string("directory", None, "Where the files are written and removed; by default the system's.")

KINDS = {
    "uncompressed strips": {},
    "LZW strips": {"rowsperstrip": 16, "compression": "lzw"},
    "LZW tiles": {"tile": (256, 256), "compression": "lzw"},
}
RANDOM_PATCHES = 10


def main(_: Sequence[str]) -> None:
    """Writes a slide of each kind, reads it in each way, prints a line for each."""
    layout = SlideLayout(GRID.value, PATCH_SIDE.value, SHRINK.value)
    rows = [("file", "MB", "one pass, s", "MB", "libvips, low only, s", "MB", "same low", "one patch, ms")]
    for kind, options in KINDS.items():
        with tempfile.TemporaryDirectory(dir=DIRECTORY.value) as folder:
            path = Path(folder) / "slide.tif"
            in_own_process(_write, path, layout.side + 10, options)
            ours = in_own_process(_one_pass, path, layout)
            libvips = in_own_process(_libvips, path, layout)
            milliseconds = in_own_process(_random_patches, path, layout).result
            rows.append(
                (
                    kind,
                    f"{path.stat().st_size / 1e6:.0f}",
                    f"{ours.seconds:.1f}",
                    f"{ours.peak_mb:.0f}",
                    f"{libvips.seconds:.1f}",
                    f"{libvips.peak_mb:.0f}",
                    "yes" if ours.result == libvips.result else "NO",
                    f"{milliseconds:.1f}",
                )
            )
    print(f"{layout.side} x {layout.side}, {layout.grid**2} patches; {machine()}")
    print(text_table(rows))


def _one_pass(path: Path, layout: SlideLayout) -> str:
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


def _write(path: Path, side: int, options: Mapping[str, Any]) -> None:
    import imagecodecs
    import tifffile

    shape, rows = (side, side), options.get("rowsperstrip", 256)
    starts = progress_bar(f"writing {path.name}", "band")(range(0, side, rows))
    bands = (_rows(side, top, min(rows, side - top)) for top in starts)
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


def _rows(side: int, top: int, height: int) -> UInt8[np.ndarray, "{height} {side}"]:
    """Rows of a dark, noisy, structured disc with black corners, which LZW compresses as it does a real slide."""
    y = (np.arange(top, top + height, dtype=np.float32) / side - 0.5)[:, None]
    x = (np.arange(side, dtype=np.float32) / side - 0.5)[None]
    structure = 12 + 8 * np.sin(900 * y) * np.sin(700 * x)
    noise = np.random.default_rng(top).integers(0, 6, (height, side), np.uint8)
    return np.where(np.hypot(y, x) < 0.5, structure.astype(np.uint8) + noise, 0).astype(np.uint8)
