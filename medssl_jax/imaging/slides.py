"""The reader of whole slides: how a slide is cut, TIFF files, and the folders the authors of SOS prepare from them.

A slide is its centre crop: a square grid of full-resolution patches, and the low-resolution image, the crop shrunk.
Patches are numbered row by row.
"""

import dataclasses
import errno
import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt, UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.imaging.jpeg import JpegKindError, decode_jpeg
from medssl_jax.imaging.tiff.codecs import GREEN
from medssl_jax.imaging.tiff.grey import GreyTiff
from medssl_jax.imaging.tiff.reduced import shrink_reduced

# Where the authors' script puts what it makes of a slide.
PREPARED_IMAGE = "lowres.jpg"
PREPARED_PATCHES = "highres_patches"

AnySlide = TypeVar("AnySlide", bound="Slide")
# A level of a pyramid must have so many pixels along a pixel of the low-resolution image. On a slide of a scanner means
# over 5 differed by 1.5 grey levels from those of the full image, at most by 5; over 2.5 by 2.4, at most by 23.
LEAST_LEVEL_PIXELS = 4
RowOfPatches = tuple[int, Sequence[int]]  # a row of the grid, and columns in it


@dataclasses.dataclass(frozen=True)
class SlideLayout:
    """The layout of a slide in pixels: `grid` x `grid` patches of `patch_side`, shrunk by `shrink`; as LKS's are.

    Raises:
      InputError: a field is below 1, or a pixel of the low-resolution image would lie on two patches.
    """

    grid: int = 40
    patch_side: int = 1000
    shrink: int = 40

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise InputError(f"{field.name}: {getattr(self, field.name)}, expected at least 1")
        if self.patch_side % self.shrink:
            raise InputError(f"shrink: {self.shrink}, expected a divisor of patch_side, which is {self.patch_side}")

    @property
    def side(self) -> int:
        """The side of the centre crop."""
        return self.grid * self.patch_side

    @property
    def low_side(self) -> int:
        """The side of the low-resolution image."""
        return self.side // self.shrink

    @property
    def patch_low_side(self) -> int:
        """The side of a patch in the low-resolution image."""
        return self.patch_side // self.shrink

    def expect_low_rows(self, low_rows: int | None) -> None:
        """Raises `InputError` where a pixel of the low-resolution image does not show so many rows; None is all."""
        if low_rows is not None and not 1 <= low_rows <= self.shrink:
            raise InputError(
                f"low_rows is {low_rows}, expected 1 to {self.shrink}, the rows that a low-resolution pixel shows"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Band:
    """One row of the grid of patches, with the rows of the low-resolution image that show it."""

    row: int
    low: UInt8[np.ndarray, "patch_low_side low_side"]
    patches: UInt8[np.ndarray, "grid patch_side patch_side"]


@runtime_checkable
class Slide(Protocol):
    """A slide of any kind; `patches_read` counts the patches handed out so far, `name` is the file's, no extension."""

    name: str
    layout: SlideLayout
    patches_read: int

    def low_resolution(self) -> UInt8[np.ndarray, "low_side low_side"]:
        """The centre crop, shrunk."""

    def patches(self, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "patch_side patch_side"]]:
        """The patches of `indices`, which ascend, one by one; nothing else is decoded than what they need."""

    def close(self) -> None:
        """Closes the file."""

    def __enter__(self: AnySlide) -> AnySlide:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@runtime_checkable
class BandedSlide(Slide, Protocol):
    """A slide that can be read as a whole in one pass.

    `one_pass_pays` where that is cheaper than its low-resolution image first and then some of its patches.
    """

    one_pass_pays: bool

    def bands(self) -> Iterator[Band]:
        """All of it from top to bottom; after the last band `low_resolution` costs nothing more."""


def slide_name(path: Path) -> str:
    """The printable name of a slide: that of its folder, or of its file without the ending."""
    return printable(path.name if path.is_dir() else path.stem)


def open_slide(
    path: str | os.PathLike[str],
    layout: SlideLayout,
    *,
    decoding_threads: int | None = None,
    low_rows: int | None = None,
) -> "TiffSlide | FolderSlide":
    """Opens a TIFF file, or a folder as the authors of SOS prepare it; of the options see `TiffSlide`.

    Raises:
      InputError: there is none, it cannot be read, or it is smaller than the crop; see `TiffSlide`, `FolderSlide`.
    """
    if os.path.isdir(path):
        return FolderSlide(path, layout)
    # A pipe or a device would be waited for.
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file or folder, expected a slide")
    return TiffSlide(path, layout, decoding_threads=decoding_threads, low_rows=low_rows)


class TiffSlide(BandedSlide):
    """A slide in a TIFF file; a pass over it holds three rows of patches in memory, and a row of tiles.

    The low-resolution image costs a pass over the whole file; of a pyramid that over one of its levels, of whose means
    it is then made: the smallest with `LEAST_LEVEL_PIXELS`. A patch costs the tiles under it, its rows where the file
    is in strips, and its pixels alone where it is not compressed. `channels` are those in the file, of three only green
    is read; `share_read` is the centre crop's share of the area. `decoding_threads` decode strips and tiles, as many as
    there are cores unless told.

    With `low_rows` a low-resolution image that is asked for before all is read has the means of so many of the `shrink`
    rows that each of its pixels shows, spread evenly, and no other row is read: an approximation for a large file on a
    slow disk. It is only made of a file in strips that is neither compressed nor a pyramid. `of_low_rows` says of how
    many rows the image is, None if of all.

    Raises:
      InputError: see `medssl_jax.imaging.tiff.grey.GreyTiff`; or the image is smaller than the crop; or `low_rows` is
        none of 1 to `shrink`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layout: SlideLayout,
        *,
        decoding_threads: int | None = None,
        low_rows: int | None = None,
    ):
        layout.expect_low_rows(low_rows)
        self.name = slide_name(Path(path))
        self.layout = layout
        self.patches_read = 0
        self._threads = decoding_threads or os.cpu_count() or 1
        self._low: np.ndarray | None = None
        self._tiff = GreyTiff(path)
        height, width, self.channels = self._tiff.height, self._tiff.width, self._tiff.channels
        self.share_read = layout.side**2 / (height * width)
        if min(height, width) < layout.side:
            self.close()
            raise InputError(
                f"{path}: {width} x {height} pixels, smaller than the centre crop of {layout.side} x {layout.side} "
                f"(grid {layout.grid}, patch_side {layout.patch_side}): leave it out or take a smaller crop"
            )
        self._top, self._left = (height - layout.side) // 2, (width - layout.side) // 2
        try:
            self._level = self._tiff.reduced(layout.shrink // LEAST_LEVEL_PIXELS)
        except BaseException:
            self.close()
            raise
        self.one_pass_pays = self._level is None
        self._low_rows = low_rows if self._level is None and self._tiff.has_rows_apart else None
        self.of_low_rows: int | None = None

    def low_resolution(self) -> UInt8[np.ndarray, "low_side low_side"]:
        """The centre crop, shrunk as libvips does, by a level or by `low_rows`; kept once it is there."""
        if self._low is None and self._level is not None:
            reduction, image = self._level
            self._low = shrink_reduced(
                image,
                reduction,
                top=self._top,
                left=self._left,
                low_side=self.layout.low_side,
                shrink=self.layout.shrink,
                threads=self._threads,
            )
        if self._low is None and self._low_rows:
            self._low, self.of_low_rows = self._of_some_rows(self._low_rows), self._low_rows
        if self._low is None:
            for _ in self._bands():
                pass
            assert self._low is not None
        return self._low

    def bands(self) -> Iterator[Band]:
        """The low-resolution image and all patches in one pass, from top to bottom."""
        if self._level is not None:
            self.low_resolution()  # that of the level, here too
        for band in self._bands():
            self.patches_read += self.layout.grid
            yield band

    def patches(self, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "patch_side patch_side"]]:
        """The patches of `indices`, which ascend, one by one; each strip or tile under them is decoded once."""
        for patches in self._rows(_by_row(indices, self.layout.grid)):
            for patch in patches:
                self.patches_read += 1
                yield patch

    def close(self) -> None:
        """Closes the file."""
        self._tiff.close()

    def _of_some_rows(self, count: int) -> UInt8[np.ndarray, "low_side low_side"]:
        side, shrink = self.layout.side, self.layout.shrink
        within = [(2 * number + 1) * shrink // (2 * count) for number in range(count)]

        def row_of(top: int) -> UInt8[np.ndarray, " low_side"]:
            rows = [self._tiff.row(top + number, self._left, self._left + side) for number in within]
            means = np.reshape(rows, (count, -1, shrink)).mean(axis=(0, 2))
            return np.rint(means).astype(np.uint8)

        with ThreadPoolExecutor(self._threads) as pool:
            return np.stack(list(pool.map(row_of, range(self._top, self._top + side, shrink))))

    def _bands(self) -> Iterator[Band]:
        grid, low_rows, height = self.layout.grid, [], self.layout.patch_low_side
        for row, patches in enumerate(self._rows([(row, range(grid)) for row in range(grid)])):
            known = None if self._low is None else self._low[row * height : (row + 1) * height]
            low_rows.append(_low_rows(patches, self.layout.shrink) if known is None else known)
            yield Band(row, low_rows[-1], patches)
        self._low = np.concatenate(low_rows)

    def _rows(self, wanted: Sequence[RowOfPatches]) -> Iterator[UInt8[np.ndarray, "columns side side"]]:
        """The patches of each `(row, columns)` as one array; the next row is decoded while the caller has this one."""
        side = self.layout.patch_side
        needed = [set(self._pieces(row, columns)) for row, columns in wanted] + [set()]
        # Pieces that the next row needs too.
        kept: dict[int, np.ndarray] = {}

        def begin(number: int) -> tuple[np.ndarray, list[Future[None]]]:
            row, columns = wanted[number]
            patches = np.empty((len(columns), side, side), np.uint8)

            def fill(piece: int) -> None:
                pixels = kept.pop(piece, None)
                if pixels is None:
                    pixels = self._tiff.decode(piece)
                if piece in needed[number + 1]:
                    kept[piece] = pixels
                self._paste(piece, pixels, patches, row, columns)

            return patches, [pool.submit(fill, piece) for piece in sorted(needed[number])]

        pool = ThreadPoolExecutor(self._threads)
        try:
            if wanted:
                ahead = begin(0)
            for number in range(len(wanted)):
                patches, jobs = ahead
                for job in jobs:
                    job.result()
                if number + 1 < len(wanted):
                    ahead = begin(number + 1)
                yield patches
        finally:
            pool.shutdown(cancel_futures=True)

    def _pieces(self, row: int, columns: Sequence[int]) -> Iterator[int]:
        side = self.layout.patch_side
        top = self._top + row * side
        for column in columns:
            left = self._left + column * side
            yield from self._tiff.pieces(top, top + side, left, left + side)

    def _paste(
        self,
        piece: int,
        pixels: UInt8[np.ndarray, "height width"],
        patches: UInt8[np.ndarray, "columns side side"],
        row: int,
        columns: Sequence[int],
    ) -> None:
        side = self.layout.patch_side
        piece_top, piece_left = self._tiff.corner(piece)
        first_row = self._top + row * side - piece_top
        top, bottom = max(first_row, 0), min(first_row + side, pixels.shape[0])
        for patch, column in zip(patches, columns, strict=True):
            first_column = self._left + column * side - piece_left
            left, right = max(first_column, 0), min(first_column + side, pixels.shape[1])
            if left < right:
                patch[top - first_row : bottom - first_row, left - first_column : right - first_column] = pixels[
                    top:bottom, left:right
                ]


class FolderSlide(Slide):
    """A slide as the authors of SOS prepare it: `lowres.jpg` and `highres_patches/0/{column}_{row}.jpg`.

    `share_read` is None, not known: the authors' script cut the slide.

    Raises:
      InputError: there is no `lowres.jpg`.
    """

    def __init__(self, path: str | os.PathLike[str], layout: SlideLayout):
        self._folder = Path(path)
        self.name = slide_name(self._folder)
        self.layout = layout
        self.patches_read = 0
        self.share_read = None
        if not (self._folder / PREPARED_IMAGE).is_file():
            raise InputError(
                f"{path}: a folder without {PREPARED_IMAGE}, expected a slide: {PREPARED_IMAGE} and "
                f"{PREPARED_PATCHES}/0/*.jpg: prepare the slide again"
            )

    @property
    def channels(self) -> int:
        """Channels of the low-resolution image, of which green is read where there are three."""
        return self._low[1]

    def low_resolution(self) -> UInt8[np.ndarray, "low_side low_side"]:
        """The image that the authors' script shrank; kept from the first call."""
        return self._low[0]

    def patches(self, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "patch_side patch_side"]]:
        """The patches of `indices`, which ascend, one by one."""
        for row, columns in _by_row(indices, self.layout.grid):
            for column in columns:
                path = self._folder / PREPARED_PATCHES / "0" / f"{column}_{row}.jpg"
                patch, _ = _read_jpeg(path, self.layout.patch_side)
                self.patches_read += 1
                yield patch

    def close(self) -> None:
        """Nothing is open."""

    @functools.cached_property
    def _low(self) -> tuple[UInt8[np.ndarray, "low_side low_side"], int]:
        return _read_jpeg(self._folder / PREPARED_IMAGE, self.layout.low_side)


def shrink_as_libvips(
    pixels: UInt8[np.ndarray, "*images height width"], shrink: int
) -> UInt8[np.ndarray, "*images low_height low_width"]:
    """Means of boxes of `shrink` x `shrink` pixels, bit for bit as `vips_shrink` of libvips 8.18 rounds them.

    It rounds the means of columns, then the means of rows of those, each in fixed point of 24 bits: most means that lie
    half-way between two grey levels are rounded down.
    """
    *images, height, width = pixels.shape
    sum_type = np.uint16 if 255 * shrink < 2**16 else np.uint32
    columns = pixels.reshape(*images, height // shrink, shrink, width).sum(axis=-2, dtype=sum_type)
    columns = _rounded_mean(columns, shrink)
    boxes = columns.reshape(*images, height // shrink, width // shrink, shrink).sum(axis=-1, dtype=sum_type)
    return _rounded_mean(boxes, shrink)


def _rounded_mean(sums: UInt[np.ndarray, "*n"], count: int) -> UInt8[np.ndarray, "*n"]:
    multiplier = np.uint32(2**24 // count)
    return ((sums.astype(np.uint32) + np.uint32(count // 2)) * multiplier >> np.uint32(24)).astype(np.uint8)


def _low_rows(patches: UInt8[np.ndarray, "n side side"], shrink: int) -> UInt8[np.ndarray, "_rows _columns"]:
    """A row of patches side by side, shrunk."""
    return np.concatenate(list(shrink_as_libvips(patches, shrink)), axis=1)


def _by_row(indices: Sequence[int], grid: int) -> list[RowOfPatches]:
    """`indices` as pairs of a row and its columns."""
    indices = [int(index) for index in indices]
    if any(a >= b for a, b in itertools.pairwise([-1, *indices, grid**2])):
        raise ValueError(f"patch indices must ascend within 0 to {grid**2 - 1}")
    rows = itertools.groupby(indices, key=lambda index: index // grid)
    return [(row, [index % grid for index in group]) for row, group in rows]


def _read_jpeg(path: Path, side: int) -> tuple[UInt8[np.ndarray, "side side"], int]:
    """The grey channel of a JPEG image, or the green of three, and how many channels it has."""
    try:
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such file")
        pixels = decode_jpeg(path.read_bytes(), sizes=[(side, side)], channels=(1, 3))
    except JpegKindError as error:
        raise InputError(
            f"{path}: {error}: give the layout the slide was prepared with, or prepare it again"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path}: cannot be read ({reason}), expected a JPEG image: prepare the slide again"
        ) from error
    channels = pixels.shape[-1]
    return pixels[..., GREEN if channels == 3 else 0], channels
