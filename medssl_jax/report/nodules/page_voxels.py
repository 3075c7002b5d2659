"""The voxels of a scan in a page: the whole stack at half resolution, and all there is round the marks that are shown.

Voxels stand in an upright scan's own slices (z towards the head, y to the back, x to the patient's left). A block of
them is a few sheets, JPEGs with one slice beside the other, which a browser decodes by itself. A grey level is a code:
fine steps of HU where soft tissue lies, coarser ones elsewhere, so that one picture serves both windows.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Num, UInt8

from medssl_jax.data.scans.preparation import HU_RANGE
from medssl_jax.imaging.volumes import Volume
from medssl_jax.report import page

# Steps of 8 HU in lung, of 4 in soft tissue, of 14 in bone.
CODES, HU_OF_CODES = (0, 130, 230, 255), (HU_RANGE[0], -160, 240, HU_RANGE[1])
SHEET_SIDE = 2048  # pixels; far less than any browser's canvas may have
JPEG_BLOCK = 8  # tiles keep to JPEG's own, so that none bleeds into its neighbour
NATIVE_VOXELS = 5_000_000  # a scan of fewer is shown as it is
QUALITIES = (75, 60, 45, 30)  # of the stack, the best that fits; at the last one, resolution goes down
STACK_BYTES, PATCHES_BYTES = 4_500_000, 2_000_000  # within a page, which must not be over 8 MB
PATCH_QUALITY = 85
REACH_MM = 15.0


@dataclasses.dataclass(frozen=True)
class Block:
    """Voxels of a scan from `low_zyx` on, of which one stands for `reduction_zyx`; `sheets` are `data:` addresses."""

    low_zyx: tuple[int, int, int]
    size_zyx: tuple[int, int, int]
    reduction_zyx: tuple[int, int, int]
    tile: tuple[int, int]
    columns: int
    rows: int
    sheets: tuple[str, ...]

    @property
    def length(self) -> int:
        """The characters that it takes in a page."""
        return sum(map(len, self.sheets))

    def as_json(self) -> dict[str, Any]:
        """What the page's script reads."""
        return dataclasses.asdict(self)


def whole_stack(volume: Volume, slice_axis: int) -> Block:
    """All slices of an upright scan, each at half resolution unless the scan is small; never more than `STACK_BYTES`.

    `slice_axis` is the axis that the scanner's slices follow each other along, and stays as it is.
    """
    for factor, quality in _attempts(volume):
        reduction = [factor] * 3
        reduction[slice_axis] = 1
        block = _block(volume.array_zyx, (0, 0, 0), reduction, quality)
        if block.length <= STACK_BYTES:
            return block
    raise AssertionError("factors have no end")


def native_patches(volume: Volume, centres_zyx: Iterable[Float[np.ndarray, "3"]]) -> list[Block]:
    """All voxels 15 mm to each side of the centres (in voxels of the upright scan), for as many as there is room."""
    patches: list[Block] = []
    for centre in centres_zyx:
        reach = REACH_MM / np.array(volume.grid.spacing_zyx_mm)
        low = np.clip(np.floor(centre - reach).astype(int), 0, np.array(volume.grid.size_zyx) - 1)
        high = np.clip(np.ceil(centre + reach).astype(int) + 1, low + 1, volume.grid.size_zyx)
        part = volume.array_zyx[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        z, y, x = low.tolist()
        patches.append(_block(part, (z, y, x), (1, 1, 1), PATCH_QUALITY))
        if sum(patch.length for patch in patches) > PATCHES_BYTES:
            return patches[:-1]
    return patches


def codes_of(hu: Num[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """The grey level of each HU; beyond `HU_RANGE` that of its end."""
    low, high = HU_RANGE
    levels = np.rint(np.interp(np.arange(low, high + 1), HU_OF_CODES, CODES)).astype(np.uint8)
    return levels[np.rint(np.clip(hu, low, high)).astype(np.int32) - low]


def _attempts(volume: Volume) -> Iterator[tuple[int, int]]:
    if volume.array_zyx.size <= NATIVE_VOXELS:
        yield 1, QUALITIES[0]
    yield from ((2, quality) for quality in QUALITIES)
    yield from ((factor, QUALITIES[-1]) for factor in itertools.count(3))


def _block(
    array_zyx: Num[np.ndarray, "z y x"], low_zyx: tuple[int, int, int], reduction_zyx: Sequence[int], quality: int
) -> Block:
    codes = _reduced_codes(array_zyx, reduction_zyx)
    depth, height, width = codes.shape
    tile = tuple(-(-length // JPEG_BLOCK) * JPEG_BLOCK for length in (height, width))
    rows, columns = (max(1, SHEET_SIDE // length) for length in tile)
    padded = np.pad(codes, ((0, 0), (0, tile[0] - height), (0, tile[1] - width)), mode="edge")
    sheets = []
    for start in range(0, depth, rows * columns):
        tiles = padded[start : start + rows * columns]
        across = min(columns, len(tiles))
        down = -(-len(tiles) // across)
        sheet = np.zeros((down * across, *tile), np.uint8)
        sheet[: len(tiles)] = tiles
        sheet = sheet.reshape(down, across, *tile).swapaxes(1, 2).reshape(down * tile[0], across * tile[1])
        sheets.append(page.jpeg_data_uri(sheet, quality=quality))
    z, y, x = reduction_zyx
    return Block(low_zyx, (depth, height, width), (z, y, x), (tile[0], tile[1]), columns, rows, tuple(sheets))


def _reduced_codes(array_zyx: Num[np.ndarray, "z y x"], reduction_zyx: Sequence[int]) -> UInt8[np.ndarray, "d h w"]:
    """The mean HU of each `reduction_zyx` voxels as a code; where they are fewer, at the end, the last is repeated."""
    if max(reduction_zyx) == 1:
        return codes_of(array_zyx)
    z, y, x = reduction_zyx
    slabs = []
    for start in range(0, len(array_zyx), z):  # one after the other: a chest is half a gigabyte of float32
        slab = np.clip(array_zyx[start : start + z], *HU_RANGE).astype(np.float32)
        slab = np.pad(
            slab, [(0, -n % factor) for n, factor in zip(slab.shape, reduction_zyx, strict=True)], mode="edge"
        )
        _, height, width = slab.shape
        slabs.append(codes_of(slab.reshape(z, height // y, y, width // x, x).mean(axis=(0, 2, 4))))
    return np.stack(slabs)
