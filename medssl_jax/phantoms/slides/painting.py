"""The light of a slide, band by band: tissues and their stain put together where the section says they are."""

import dataclasses
import functools

import numpy as np
from etils import epy
from jaxtyping import Float32, Int, Shaped

from medssl_jax.phantoms.canvas import coverage
from medssl_jax.phantoms.slides.anatomy import Section
from medssl_jax.phantoms.slides.blocks import BlockGrid, Field
from medssl_jax.phantoms.slides.imaging import Microscope, mosaic_gain
from medssl_jax.phantoms.slides.stains import AUTOFLUORESCENCE, RELIEF, Stain
from medssl_jax.phantoms.slides.strokes import Stroke, paint_strokes
from medssl_jax.phantoms.slides.textures import Tile, Tissue

with epy.lazy_imports():
    from scipy import ndimage

EDGE = 2.0  # pixels over which one tissue turns into another
LAYER_PLACE, LAYER_WIDTH, LAYER_DEPTH = 0.38, 0.09, 0.4  # the line between the two layers of muscle
HALO = 0.35  # in boxes of the low-resolution image
REACH = 1.3  # of the wall with its gland tips, in walls
TIPS = 0.2  # how far gland tips stand apart at the outer edge, in walls
NECK_BEGINS = 1.2  # in radii of the flask

Array = Float32[np.ndarray, "..."]
Band = Float32[np.ndarray, "rows columns"]
Pixels = Shaped[np.ndarray, " pixels"]  # some of a band's
Integers = Int[np.ndarray, " pixels"]
Places = tuple[Integers, Integers]  # rows and columns of a tile, which repeats


@dataclasses.dataclass(frozen=True)
class SlideDrawing:
    """All that a slide is made of, before it is exposed."""

    grid: BlockGrid
    section: Section
    microscope: Microscope
    stain: Stain
    fine_only: bool
    parenchyma: Tissue  # of kidney and liver
    glands: Tissue  # of the mucosa: rows run outwards, columns along the stomach
    strokes: list[Stroke]
    haze: Field | None = None  # grey levels of a light that kidney and liver have beside their own

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns of the file."""
        before, after = self.grid.before_yx, self.grid.after_yx
        return before[0] + self.grid.side + after[0], before[1] + self.grid.side + after[1]


class Painter:
    """Light that reaches the camera from a slide."""

    def __init__(self, slide: SlideDrawing):
        self._slide = slide
        self._parenchyma_stain = _stained(slide, slide.parenchyma)
        self._gland_stain = _stained(slide, slide.glands) * np.float32(slide.stain.mucosa_share)
        self._strands = np.ascontiguousarray(slide.glands.relief.T)

    def light(self, rows: slice) -> Band:
        """Grey levels before noise at some rows of blocks, counted from the first."""
        slide, grid, block = self._slide, self._slide.grid, self._slide.grid.block
        tissue = grid.pixels(slide.microscope.stray, rows, slice(0, grid.blocks_yx[1]))
        stain = np.zeros_like(tissue)
        columns = self._columns_with_tissue(rows)
        if columns.start < columns.stop:
            window = slice(columns.start * block, columns.stop * block)
            self._add_tissue(tissue[:, window], stain[:, window], rows, columns)
        first_row, first_column = ((grid.first_yx[axis] + start) * block for axis, start in enumerate((rows.start, 0)))
        paint_strokes(slide.strokes, tissue, stain, first_row, first_column)
        gain = mosaic_gain(slide.microscope, grid, slice(rows.start * block, rows.stop * block))
        tissue *= gain
        if stain.any():
            stain *= gain
            tissue += _without_box_mean(stain, block) if slide.fine_only else stain
        return tissue

    def _columns_with_tissue(self, rows: slice) -> slice:
        section = self._slide.section
        near = section.depth[rows.start : rows.stop + 1] < REACH * section.wall
        near &= section.neck[rows.start : rows.stop + 1] < EDGE
        columns = np.flatnonzero(near.any(axis=0))
        if not len(columns):
            return slice(0, 0)
        return slice(max(int(columns[0]) - 1, 0), min(int(columns[-1]) + 1, self._slide.grid.blocks_yx[1]))

    def _add_tissue(self, tissue: Band, stain: Band, rows: slice, columns: slice) -> None:
        """Adds autofluorescence to `tissue` and the serum's light to `stain`, in place."""
        slide, section = self._slide, self._slide.section
        sample = functools.partial(slide.grid.pixels, rows=rows, columns=columns)
        y, x = (
            (slide.grid.first_yx[axis] + blocks.start) * slide.grid.block + np.arange(length)
            for axis, (blocks, length) in enumerate(zip((rows, columns), tissue.shape, strict=True))
        )
        depth, cleft, sharpness = sample(section.depth), sample(section.cleft), sample(slide.microscope.sharpness)
        brightness = sample(section.brightness) * coverage(sample(section.neck), EDGE)
        uptake = sample(section.uptake) * brightness

        inside, gap = coverage(depth, EDGE), np.float32(section.gap / 2)
        kidney, liver = inside * coverage(cleft + gap, EDGE), inside * coverage(gap - cleft, EDGE)
        relief = _repeated(slide.parenchyma.relief, y, x) * sharpness
        light = kidney * _glow("kidney", relief) + liver * _glow("liver", relief)
        if slide.haze is not None:
            light += (kidney + liver) * sample(slide.haze)
        if slide.stain.parenchyma:
            share = kidney + np.float32(slide.stain.liver_share) * liver
            stain += share * uptake * _repeated(self._parenchyma_stain, y, x)

        wall = np.nonzero((depth > -EDGE) & (depth < REACH * section.wall))
        at = depth[wall]
        places = np.floor(at).astype(np.int32), self._along(y[wall[0]], x[wall[1]])
        muscle, mucosa, glands = self._wall(at, inside[wall], sharpness[wall], places)
        light[wall] += muscle * np.float32(AUTOFLUORESCENCE["muscle"]) + mucosa * glands
        stain[wall] += mucosa * uptake[wall] * _at(self._gland_stain, places)
        stain[wall] += muscle * brightness[wall] * np.float32(slide.stain.muscle)
        tissue += light * brightness

    def _wall(self, depth: Pixels, inside: Pixels, sharpness: Pixels, places: Places) -> tuple[Pixels, Pixels, Pixels]:
        """Shares of muscle and of mucosa, and how the mucosa glows, at some pixels of the stomach's wall."""
        section = self._slide.section
        past_muscle = coverage(np.float32(section.muscle) - depth, EDGE)
        layers = np.exp(-(((depth / np.float32(section.muscle) - LAYER_PLACE) / LAYER_WIDTH) ** 2)).astype(np.float32)
        # Muscle runs along the stomach as glands run outwards.
        strands = np.float32(RELIEF["muscle"]) * sharpness * _at(self._strands, places)
        muscle = (1 - inside) * (1 - past_muscle) * (1 + strands - np.float32(LAYER_DEPTH) * layers)
        relief = _at(self._slide.glands.relief, places) * sharpness
        tips = np.float32(TIPS * section.wall) * np.minimum(relief, 0)
        mucosa = past_muscle * coverage(depth - np.float32(section.wall) - tips, 4 * EDGE)
        return muscle, mucosa, _glow("mucosa", relief)

    def _along(self, y: Integers, x: Integers) -> Integers:
        """Whole pixels along the stomach, or along its neck."""
        section = self._slide.section
        dy, dx = (
            (place - np.float32(centre)).astype(np.float32)
            for place, centre in zip((y, x), section.centre_yx, strict=True)
        )
        # The angle jumps above, where the neck is.
        along = np.arctan2(dx, dy) * np.float32(section.radius + section.wall / 2)
        return np.floor(np.where(dy < -NECK_BEGINS * section.radius, dy, along)).astype(np.int32)


def _stained(slide: SlideDrawing, tissue: Tissue) -> Tile:
    stain = slide.stain
    tile = np.float32(stain.spread) * (1 + tissue.relief)
    for name, target in tissue.targets.items():
        tile += np.float32(getattr(stain, name)) * target
    if slide.fine_only:
        # Dark round every bright structure, so that what is left to take off each box is small and unseen.
        tile -= ndimage.gaussian_filter(tile, HALO * slide.grid.block, mode="wrap", truncate=3)
    return tile


def _glow(organ: str, relief: Array) -> Array:
    grey = np.float32(AUTOFLUORESCENCE[organ])
    return grey + grey * np.float32(RELIEF[organ]) * relief


def _repeated(tile: Float32[np.ndarray, "_ _"], y: Int[np.ndarray, " rows"], x: Int[np.ndarray, " columns"]) -> Band:
    return np.take(tile[y % tile.shape[0]], x % tile.shape[1], axis=1)


def _at(tile: Tile, places: Places) -> Pixels:
    return tile[places[0] % tile.shape[0], places[1] % tile.shape[1]]


def _without_box_mean(band: Band, block: int) -> Band:
    """Nothing is left of it in the low-resolution image."""
    boxes = band.reshape(band.shape[0] // block, block, -1, block)
    return (boxes - boxes.mean(axis=(1, 3), keepdims=True)).reshape(band.shape)
