"""A contact sheet of a written slide phantom: each class at low resolution, below it a piece at full resolution."""

import os

import numpy as np
from etils import epy
from jaxtyping import UInt8

from medssl_jax.core.atomic import atomic_path
from medssl_jax.imaging.slides import Slide, open_slide
from medssl_jax.phantoms.lks import SlideTruth, read_truth, slide_path
from medssl_jax.phantoms.slides.roster import LKS_SLIDES, PlannedSlide, plan_slides
from medssl_jax.phantoms.slides.spec import LksPhantom

with epy.lazy_imports():
    from PIL import Image, ImageDraw

VIEW_PIXELS, PIECE_PIXELS = 256, 128
GAP_PIXELS, TITLE_PIXELS = 4, 16
BRIGHTNESS = 3.0  # slides are very dark
GREEN = np.array([0.25, 1.0, 0.35])
BOX_COLOUR, TEXT_COLOUR = (255, 210, 0), (255, 255, 255)
FINE_ONLY = "at full resolution alone"
CONDITIONS = ("veiled", "out_of_focus", "weak", "lipofuscin")  # of a telling phantom's slide, each drawn by itself
PIECE_LEFT_SHARE = 0.55  # of the piece, the stomach's wall; the rest is kidney

Grey = UInt8[np.ndarray, "y x"]


def write_slide_sheet(path: str | os.PathLike[str], spec: LksPhantom, directory: str | os.PathLike[str]) -> None:
    """Draws the first slide of each class and kind as a PNG.

    The kinds are what shows at full resolution alone or, of a telling phantom, each condition that befalls a slide.
    """
    columns = [_column(spec, directory, slide) for slide in _one_of_each(spec)]
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(columns, axis=1)).save(temporary, format="PNG", optimize=True)


def _one_of_each(spec: LksPhantom) -> list[PlannedSlide]:
    slides = plan_slides(spec)
    kinds: dict[tuple[str, ...], PlannedSlide] = {}
    for slide in slides:
        befell = _conditions(slide)
        # One condition at a time, of whatever class; what nothing befell, and what is fine only, of each class.
        if len(befell) < 2:
            kind = befell if slide.conditions is not None and befell else [slide.label, *befell]
            kinds.setdefault(tuple(kind), slide)
    order = [(label, *rest) for rest in ((), (FINE_ONLY,)) for label in LKS_SLIDES["train"]]
    order += [(name.replace("_", " "),) for name in CONDITIONS]
    return [kinds[kind] for kind in order if kind in kinds]


def _conditions(slide: PlannedSlide) -> list[str]:
    if slide.conditions is None:
        return [FINE_ONLY] if slide.fine_only else []
    return [name.replace("_", " ") for name in CONDITIONS if getattr(slide.conditions, name)]


def _title(slide: PlannedSlide) -> str:
    title = ", ".join([slide.label, *_conditions(slide)])
    if slide.conditions is None:
        return title
    return f"{title}; low {slide.conditions.low:.2f} fine {slide.conditions.fine:.2f}"


def _column(spec: LksPhantom, directory: str | os.PathLike[str], planned: PlannedSlide) -> UInt8[np.ndarray, "y x 3"]:
    truth = read_truth(directory, planned.name)
    with open_slide(slide_path(directory, truth), spec.slide_layout) as slide:
        low = slide.low_resolution()
        (top, left), piece = _piece(slide, spec, truth)
    view, piece_view = (_view(image) for image in (low, piece))
    column = Image.new("RGB", (VIEW_PIXELS + GAP_PIXELS, TITLE_PIXELS + 2 * VIEW_PIXELS + 2 * GAP_PIXELS))
    column.paste(view, (0, TITLE_PIXELS))
    column.paste(piece_view, (0, TITLE_PIXELS + VIEW_PIXELS + GAP_PIXELS))
    draw = ImageDraw.Draw(column)
    scale = VIEW_PIXELS / spec.side
    x, y, size = left * scale, TITLE_PIXELS + top * scale, len(piece) * scale
    draw.rectangle((x, y, x + size, y + size), outline=BOX_COLOUR)
    draw.text((2, 2), _title(planned), fill=TEXT_COLOUR)
    return np.asarray(column)


def _piece(slide: Slide, spec: LksPhantom, truth: SlideTruth) -> tuple[tuple[int, int], Grey]:
    """Where the piece begins in the crop, and its pixels: the patches it lies on, cut."""
    size = min(PIECE_PIXELS, spec.patch_side)
    edge_y, edge_x = truth.edge_yx
    top, left = (
        int(np.clip(first, 0, spec.side - size)) for first in (edge_y - size / 2, edge_x - PIECE_LEFT_SHARE * size)
    )
    side = spec.patch_side
    rows, columns = (range(first // side, (first + size - 1) // side + 1) for first in (top, left))
    patches = iter(slide.patches([row * spec.grid + column for row in rows for column in columns]))
    pixels = np.block([[next(patches) for _ in columns] for _ in rows])
    top_here, left_here = top - rows[0] * side, left - columns[0] * side
    return (top, left), pixels[top_here : top_here + size, left_here : left_here + size]


def _view(grey: Grey) -> "Image.Image":
    bright = np.clip(grey[..., None] * BRIGHTNESS * GREEN, 0, 255).astype(np.uint8)
    return Image.fromarray(bright).resize((VIEW_PIXELS, VIEW_PIXELS), Image.Resampling.NEAREST)
