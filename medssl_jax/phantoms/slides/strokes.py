"""Single things on a slide: vessels, cracks, specks, bubbles, hairs. Each is a line with round ends.

Lengths are pixels. Strokes are drawn in windows round themselves, so their cost does not depend on the slide's size.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float32

from medssl_jax.phantoms.canvas import capsule_distance_mm, coverage
from medssl_jax.phantoms.slides.anatomy import Section

VESSELS = 70
SPECKS, BUBBLES, CRACKS = 22.0, 2.0, 5.0
SHARE_WITH_HAIR = 0.3
SATURATED = 400.0
EDGE = 2.5
RIM_REACH = 2.5  # in rim widths, where its profile ends


@dataclasses.dataclass(frozen=True)
class Stroke:
    """A line from start to end: inside, light is taken (`darken`, a share) and given; a rim runs along its outline."""

    start_yx: tuple[float, float]
    end_yx: tuple[float, float]
    radius: float
    darken: float = 0.0
    brighten: float = 0.0
    rim: float = 0.0
    rim_width: float = 1.0

    @property
    def reach(self) -> float:
        """Nothing is drawn further from the line."""
        return self.radius + (RIM_REACH * self.rim_width if self.rim else EDGE)

    def span(self, axis: int) -> tuple[float, float]:
        """From where to where it reaches."""
        ends = (self.start_yx[axis], self.end_yx[axis])
        return min(ends) - self.reach, max(ends) + self.reach


def draw_vessels(section: Section, side: int, walls: float, rng: np.random.Generator) -> list[Stroke]:
    """Vessels of kidney and liver: dark inside, their walls as bright as the serum makes them."""
    strokes = []
    for _ in range(VESSELS):
        angle, distance, direction = rng.uniform((0, 0, 0), (2 * np.pi, 1, np.pi))
        distance = 0.93 * section.radius * np.sqrt(distance)
        y, x = section.centre_yx[0] + distance * np.sin(angle), section.centre_yx[1] + distance * np.cos(angle)
        radius = max(1.5, side * float(np.clip(0.0028 * np.exp(rng.normal(0, 0.45)), 0.0014, 0.009)))
        length = radius * rng.uniform(0, 3)
        kept = rng.random() < (0.9 if x < section.centre_yx[1] else 0.55)
        if kept:
            end = (y + length * np.sin(direction), x + length * np.cos(direction))
            rim_width = max(1.1, 0.3 * radius)
            strokes.append(Stroke((y, x), end, radius, darken=0.4, rim=walls, rim_width=rim_width))
    return strokes


def draw_debris(section: Section, side: int, amount: float, rng: np.random.Generator) -> list[Stroke]:
    """Cracks in the tissue, saturated specks, bubbles, now and then a hair."""
    strokes = []
    for _ in range(rng.poisson(CRACKS * amount)):
        y, x = np.array(section.centre_yx) + rng.uniform(-0.6, 0.6, 2) * section.radius
        length, angle = rng.uniform(0.01, 0.05) * side, rng.uniform(0, np.pi)
        end = (y + length * np.sin(angle), x + length * np.cos(angle))
        strokes.append(Stroke((y, x), end, max(1.0, 0.0014 * side), darken=0.5))
    for _ in range(rng.poisson(SPECKS * amount)):
        y, x = rng.uniform(0, side, 2)
        radius = rng.uniform(0.6, 1.6) + 0.0004 * side * rng.random() ** 4
        strokes.append(Stroke((y, x), (y, x), radius, brighten=SATURATED * rng.uniform(0.3, 1)))
    for _ in range(rng.poisson(BUBBLES * amount)):
        y, x = np.array(section.centre_yx) + rng.uniform(-1.2, 1.2, 2) * section.radius
        radius = rng.uniform(0.006, 0.013) * side
        strokes.append(Stroke((y, x), (y, x), radius, darken=0.15, rim=rng.uniform(6, 16), rim_width=0.12 * radius))
    if rng.random() < SHARE_WITH_HAIR * amount:
        strokes += _hair(side, rng)
    return strokes


def paint_strokes(
    strokes: list[Stroke],
    tissue: Float32[np.ndarray, "rows columns"],
    stain: Float32[np.ndarray, "rows columns"],
    first_row: int,
    first_column: int,
) -> None:
    """Draws onto a band in place; what darkens the tissue darkens its stain too."""
    for stroke in strokes:
        rows = _pixels(stroke.span(0), first_row, tissue.shape[0])
        columns = _pixels(stroke.span(1), first_column, tissue.shape[1])
        if not rows or not columns:
            continue
        y = np.array(rows, np.float32)[:, None] + first_row
        x = np.array(columns, np.float32)[None, :] + first_column
        start, end = (0.0, *stroke.start_yx), (0.0, *stroke.end_yx)
        distance = capsule_distance_mm((np.float32(0), y, x), start, end, stroke.radius, stroke.radius)
        inside = coverage(distance, EDGE)
        window = (slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        if stroke.darken:
            kept = 1 - np.float32(stroke.darken) * inside
            tissue[window] *= kept
            stain[window] *= kept
        if stroke.brighten:
            tissue[window] += np.float32(stroke.brighten) * inside
        if stroke.rim:
            tissue[window] += np.float32(stroke.rim) * np.exp(-((distance / np.float32(stroke.rim_width)) ** 2))


def _pixels(span: tuple[float, float], first: int, size: int) -> range:
    """Those of `size` pixels, from the `first` on, that a span holds, counted from the first."""
    start, stop = (min(max(math.ceil(edge) - first, 0), size) for edge in span)
    return range(start, stop)


def _hair(side: int, rng: np.random.Generator) -> list[Stroke]:
    place, angle = rng.uniform(0.1, 0.9, 2) * side, rng.uniform(0, 2 * np.pi)
    bend, brightness = rng.normal(0, 0.4), rng.uniform(40, 120)
    strokes = []
    for _ in range(6):
        step = 0.012 * side * np.array([np.sin(angle), np.cos(angle)])
        ends = [tuple(end.tolist()) for end in (place, place + step)]
        strokes.append(Stroke(ends[0], ends[1], max(1.0, 0.0025 * side), brighten=brightness))
        place, angle = place + step, angle + bend
    return strokes
