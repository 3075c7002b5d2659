"""Slides written as files of the kinds that slides come in, to be timed: seconds depend on how pixels lie in a file.

They are written a few at a time and removed, since LKS's take gigabytes; what was just written is read from memory, so
that the disk takes no part.
"""

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.slides import Slide, SlideLayout, open_slide
from medssl_jax.inference.selective import OpenSlide
from medssl_jax.phantoms.slides.tiff import write_tiff

MOST_OF_LEVELS = 4 / 3  # of an image and its halves, beside the image alone


class FileKind(NamedTuple):
    """The name of a kind, a layout of `write_tiff`, with the levels of a pyramid or without."""

    name: str
    layout: str
    levels: bool


# As the heading of a table of seconds goes on: "slides ..."
FILE_KINDS = {
    "in flat strips, uncompressed": FileKind("strips", "strips-none-big", levels=False),
    "in LZW tiles": FileKind("tiles", "tiles-lzw-big", levels=False),
    "in pyramids of LZW tiles": FileKind("pyramid", "tiles-lzw-big", levels=True),
}


@contextlib.contextmanager
def written_as(kind: FileKind, layout: SlideLayout, slides: Sequence[OpenSlide]) -> Iterator[list[OpenSlide]]:
    """The crops of `slides` in files of a `kind`, in a temporary folder that ends with the context.

    Raises `InputError` where the disk of temporary files may be too small for them.
    """
    with tempfile.TemporaryDirectory(prefix="medssl_slides_") as folder:
        needed, free = MOST_OF_LEVELS * len(slides) * layout.side**2, shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(
                f"slides to time: {len(slides)} at once take up to {needed / 1e9:.1f} GB, and {Path(folder).parent} "
                f"has {free / 1e9:.1f} GB free: set TMPDIR to a folder with more"
            )
        paths = [Path(folder) / f"{number}.tif" for number in range(len(slides))]
        for path, open_one in zip(paths, slides, strict=True):
            with open_one() as slide:
                write_tiff(path, _rows(slide), (layout.side, layout.side), kind.layout, levels=kind.levels)
        yield [functools.partial(open_slide, path, layout) for path in paths]


def _rows(slide: Slide) -> Iterator[UInt8[np.ndarray, "patch_side side"]]:
    grid = slide.layout.grid
    for row in range(grid):
        yield np.concatenate(list(slide.patches(range(row * grid, (row + 1) * grid))), axis=1)
