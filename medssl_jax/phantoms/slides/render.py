"""One synthetic slide, from its plan to its pixels, in bands from top to bottom."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from medssl_jax.phantoms.slides.anatomy import draw_section
from medssl_jax.phantoms.slides.blocks import BlockGrid
from medssl_jax.phantoms.slides.imaging import draw_microscope, expose
from medssl_jax.phantoms.slides.painting import Painter, SlideDrawing
from medssl_jax.phantoms.slides.places import placed_light
from medssl_jax.phantoms.slides.roster import PlannedSlide, slide_generator
from medssl_jax.phantoms.slides.spec import LksPhantom, TellingPhantom
from medssl_jax.phantoms.slides.stains import HAZE, stain_of, titre
from medssl_jax.phantoms.slides.strokes import draw_debris, draw_vessels
from medssl_jax.phantoms.slides.textures import SHARE_WITH_VESSEL, TARGETS, cell_pixels, draw_tissue
from medssl_jax.phantoms.slides.tiff import Band

BAND_PIXELS = 2**17  # small enough for a processor's cache


def draw_slide(spec: LksPhantom, planned: PlannedSlide) -> SlideDrawing:
    """Draws all that a slide is made of; the bands come from `render_bands`."""
    stream = functools.partial(slide_generator, spec, planned.split, planned.number)
    grid = _draw_frame(spec, stream("frame"))
    section = draw_section(grid, stream("anatomy"))
    microscope = draw_microscope(spec, planned, grid, stream("imaging"))
    stain = stain_of(spec, planned)
    debris, haze, share_with_vessel = spec.debris, None, SHARE_WITH_VESSEL
    if isinstance(spec, TellingPhantom) and planned.conditions is not None:
        conditions = planned.conditions
        depth = 0.0 if planned.fine_only else conditions.low * titre(spec, planned)
        share_with_vessel = spec.share_with_vessel
        haze = section.uptake * placed_light(section, grid, planned.label, depth) * np.float32(HAZE * spec.stain)
        if conditions.out_of_focus:
            debris = spec.debris * spec.focus_debris
            microscope = dataclasses.replace(microscope, blur=microscope.blur + spec.focus_blur)
    textures, strokes = stream("textures"), stream("strokes")
    cell = cell_pixels(spec.shrink)
    grain = 0.7 * (cell / 16) ** 0.5
    targets = [name for name in TARGETS if getattr(stain, name)]
    draw = functools.partial(
        draw_tissue,
        textures,
        largest_side=spec.side,
        blur=microscope.blur,
        grain=grain,
        targets=targets,
        share_with_vessel=share_with_vessel,
    )
    return SlideDrawing(
        grid=grid,
        section=section,
        microscope=microscope,
        stain=stain,
        fine_only=planned.fine_only or haze is not None,
        haze=haze,
        parenchyma=draw((cell, cell)),
        glands=draw((3 * cell, 2 * cell // 3)),
        strokes=[
            *draw_vessels(section, spec.side, stain.vessel_walls, strokes),
            *draw_debris(section, spec.side, debris, strokes),
        ],
    )


def render_bands(spec: LksPhantom, planned: PlannedSlide, slide: SlideDrawing) -> Iterator[Band]:
    """The slide's rows from top to bottom, some blocks at a time."""
    grid, block = slide.grid, slide.grid.block
    top, left = (-first * block - before for first, before in zip(grid.first_yx, grid.before_yx, strict=True))
    rows, columns = slide.shape_yx
    painter = Painter(slide)
    noise = slide_generator(spec, planned.split, planned.number, "noise")
    step = max(1, BAND_PIXELS // (block * block * grid.blocks_yx[1]))
    for start in range(0, grid.blocks_yx[0], step):
        stop = min(start + step, grid.blocks_yx[0])
        pixels = expose(painter.light(slice(start, stop)), slide.microscope.noise, noise)
        yield pixels[max(top - start * block, 0) : top + rows - start * block, left : left + columns]


def _draw_frame(spec: LksPhantom, rng: np.random.Generator) -> BlockGrid:
    """The crop's place in the file: LKS is cropped at floor((size - side) / 2)."""
    low, high = spec.margin
    extra_y, extra_x = rng.integers(2 * low, 2 * high, 2, endpoint=True).tolist()
    before = (extra_y // 2, extra_x // 2)
    return BlockGrid(spec.shrink, spec.side, before, (extra_y - before[0], extra_x - before[1]))
