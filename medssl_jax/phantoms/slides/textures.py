"""Tissue from near: cells, granules, fibres and small vessels, on tiles that repeat without a seam.

Every structure is a few pixels wide whatever the slide's size; a slide repeats its tiles over its organs.
"""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np
from etils import epy
from jaxtyping import Float32

with epy.lazy_imports():
    from scipy import ndimage

CELL_PIXELS = (10, 56)  # smallest and largest tubule
TILE_PIXELS = 512
LEAST_CELLS = 14
SHARE_WITH_VESSEL = 0.15
TARGETS = ("granules", "fibres", "arterioles")  # of stain, smaller than a cell

Tile = Float32[np.ndarray, "rows columns"]


@dataclasses.dataclass(frozen=True)
class Cells:
    """Cells of a tissue, lengths in cells: `middle` is the distance from a cell's middle, `border` from its edge."""

    middle: Tile
    border: Tile
    kind: Tile  # even between 0 and 1, the same all over a cell


@dataclasses.dataclass(frozen=True)
class Tissue:
    """Tiles of one tissue. `relief` is what autofluorescence shows, mean 0; `targets` take stain, 0 to about 1."""

    relief: Tile
    targets: Mapping[str, Tile]


def cell_pixels(shrink: int) -> int:
    """How wide a tubule is."""
    return int(np.clip(2 * shrink, *CELL_PIXELS))


def draw_tissue(
    rng: np.random.Generator,
    cell_yx: tuple[int, int],
    largest_side: int,
    blur: float,
    grain: float,
    targets: Collection[str] = TARGETS,
    share_with_vessel: float = SHARE_WITH_VESSEL,
) -> Tissue:
    """Draws a tissue of cells `cell_yx` pixels large, seen through optics that blur by `blur` pixels.

    `grain` is the standard deviation of a granule, in pixels. No side of the tiles is much longer than `largest_side`.
    Of the `TARGETS` of stain those asked for are drawn, each the same whatever else is. Above 0, `share_with_vessel` is
    how many of the cells have an arteriole.
    """
    wanted = min(TILE_PIXELS, largest_side)
    rows, columns = (max(LEAST_CELLS, -(-wanted // pixels)) for pixels in cell_yx)
    cells = draw_cells(rng, (rows, columns), cell_yx)

    def seen(tile: Tile) -> Tile:
        return ndimage.gaussian_filter(tile, blur, mode="wrap", truncate=3)

    cytoplasm = np.clip((cells.middle - 0.12) / 0.12, 0, 1) * np.clip(cells.border / 0.12, 0, 1)
    relief = cytoplasm * (0.8 + 0.4 * cells.kind)
    noise = rng.standard_normal(relief.shape, dtype=np.float32)

    def granules() -> Tile:
        grains = ndimage.gaussian_filter(noise, grain, mode="wrap", truncate=3)
        grains /= grains.std()
        return cytoplasm * np.clip((grains - 0.7) / 0.6, 0, 1)

    def fibres() -> Tile:
        # A fibre runs along some of a cell's sides only.
        return np.exp(-((cells.border / 0.11) ** 2)) * np.clip(1.3 - cells.kind, 0.3, 1)

    def arterioles() -> Tile:
        radius = 0.18 + 0.2 * cells.kind / share_with_vessel
        of_all = np.exp(-(((cells.middle - radius) / 0.10) ** 2)) * (cells.kind < share_with_vessel)
        return of_all.astype(np.float32)

    draw = dict(zip(TARGETS, (granules, fibres, arterioles), strict=True))
    relief = seen(relief)
    return Tissue(
        relief=relief - relief.mean(), targets={name: seen(draw[name]()) for name in TARGETS if name in targets}
    )


def draw_cells(rng: np.random.Generator, counts_yx: tuple[int, int], cell_yx: tuple[int, int]) -> Cells:
    """Voronoi cells of a shaken lattice: each pixel's two nearest points are among nine."""
    centre_y, centre_x = (rng.uniform(0.08, 0.92, counts_yx).astype(np.float32) for _ in range(2))
    kinds = rng.random(counts_yx, dtype=np.float32)
    y, x = (((np.arange(pixels) + 0.5) / pixels).astype(np.float32) for pixels in cell_yx)
    # All cells lie side by side in memory, since a cell alone is too narrow for fast arithmetic.
    shape = (*cell_yx, *counts_yx)
    first, second = np.full(shape, 9, np.float32), np.full(shape, 9, np.float32)
    kind = np.zeros(shape, np.float32)
    for shift_y in (-1, 0, 1):
        for shift_x in (-1, 0, 1):
            there_y, there_x, there_kind = (
                np.roll(each, (-shift_y, -shift_x), (0, 1)) for each in (centre_y, centre_x, kinds)
            )
            from_y, from_x = there_y + shift_y - y[:, None, None, None], there_x + shift_x - x[:, None, None]
            distance = from_y**2 + from_x**2
            np.copyto(kind, there_kind, where=distance < first)
            np.minimum(second, np.maximum(first, distance), out=second)
            np.minimum(first, distance, out=first)
    pixels = (counts_yx[0] * cell_yx[0], counts_yx[1] * cell_yx[1])
    middle, second_middle, kind_of_cell = (
        np.ascontiguousarray(each.transpose(2, 0, 3, 1)).reshape(pixels)
        for each in (np.sqrt(first), np.sqrt(second), kind)
    )
    return Cells(middle=middle, border=second_middle - middle, kind=kind_of_cell)
