"""A section through stomach, kidney and liver: organs as fields on the corners of the blocks.

The stomach is a flask, its neck upwards, turned inside out: the muscle lies inside, the mucosa outside. In it the
kidney lies left and the liver right of a cleft. Lengths are shares of the crop's side.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from medssl_jax.phantoms.fields import smooth_min
from medssl_jax.phantoms.slides.blocks import BlockGrid, Field, smooth_noise

HARMONICS = np.arange(2, 6)


@dataclasses.dataclass(frozen=True)
class Section:
    """One rat's organs. Depth and cleft are distances in pixels, the others plain factors."""

    depth: Field  # from the inner face of the stomach; negative inside the flask
    cleft: Field  # from the middle of the cleft; negative in the kidney
    neck: Field  # above the cut through the neck it is positive
    brightness: Field  # of tissue, about 1
    uptake: Field  # of stain, 0 to 1
    wall: float  # pixels, muscle and mucosa together
    muscle: float
    gap: float
    centre_yx: tuple[float, float]
    radius: float  # of the flask's inside
    edge_yx: tuple[float, float]  # where kidney, muscle and mucosa meet, on the left


def draw_section(grid: BlockGrid, rng: np.random.Generator) -> Section:
    """Draws one section."""
    side = grid.side
    centre_y, centre_x = rng.normal((0.555, 0.5), 0.015)
    radius = rng.uniform(0.25, 0.29)
    aspect = rng.uniform(0.94, 1.06)
    wall, muscle, gap = rng.uniform((0.058, 0.011, 0.004), (0.075, 0.015, 0.010))
    tilt = rng.normal(0, 0.06)
    neck_half_width, neck_top = rng.uniform((0.004, 0.03), (0.012, 0.14))
    kink, upper_slope, lower_slope = rng.normal((0.0, -0.05, 0.25), (0.02, 0.1, 0.12))
    amplitudes, phases = rng.normal(0, 0.014, len(HARMONICS)) / HARMONICS, rng.uniform(0, 2 * np.pi, len(HARMONICS))

    y, x = grid.corners()
    dy, dx = (y - np.float32(centre_y)) * np.float32(aspect), x - np.float32(centre_x)
    angle = np.arctan2(dy, dx)
    outline = radius * (1 + _harmonics(angle, amplitudes, phases))
    ring = np.hypot(dy, dx) - outline + 0.0025 * smooth_noise(rng, grid, 0.05)
    strip = np.abs(dx + np.float32(tilt) * dy) - np.float32(neck_half_width) + 0.003 * smooth_noise(rng, grid, 0.08)
    strip = np.maximum(strip, dy)
    depth = smooth_min(ring, strip, 0.07)
    # The wall thins towards the neck and is uneven all round.
    thinning = 1 + 0.55 * np.clip((-dy - 1.05 * radius) / 0.06, 0, 1) + 0.09 * smooth_noise(rng, grid, 0.11)
    depth = np.where(depth > 0, depth * thinning, depth)

    slope = np.where(dy < 0, upper_slope, lower_slope)
    wobble = 0.006 * smooth_noise(rng, grid, 0.12) + 0.002 * smooth_noise(rng, grid, 0.03)
    cleft = (dx - np.float32(kink) - slope * dy + wobble) / np.hypot(1, slope)
    ragged = 0.006 * smooth_noise(rng, grid, 0.02)

    blotches = smooth_noise(rng, grid, 0.05)
    thin_middle = np.exp(-((dy / 0.10) ** 2) - (dx / 0.13) ** 2) * np.clip(0.8 + 0.5 * blotches, 0, 1.5)
    brightness = 1 + 0.10 * smooth_noise(rng, grid, 0.22) + 0.05 * blotches - rng.uniform(0.15, 0.45) * thin_middle
    uptake = np.clip(0.75 + 0.30 * smooth_noise(rng, grid, 0.13), 0.2, 1)
    edge_x = centre_x - radius * (1 + float(_harmonics(np.pi, amplitudes, phases)))
    return Section(
        depth=_float32(depth * side),
        cleft=_float32(cleft * side),
        neck=_float32((np.float32(neck_top) - y + ragged) * side),
        brightness=_float32(np.maximum(brightness, 0.3)),
        uptake=_float32(uptake),
        wall=float(wall * side),
        muscle=float(muscle * side),
        gap=float(gap * side),
        centre_yx=(float(centre_y * side), float(centre_x * side)),
        radius=float(radius * side),
        edge_yx=(float(centre_y * side), float(edge_x * side)),
    )


def _harmonics(angle: Any, amplitudes: Float[np.ndarray, " n"], phases: Float[np.ndarray, " n"]) -> Any:
    return sum(a * np.cos(k * angle + p) for k, a, p in zip(HARMONICS, amplitudes, phases, strict=True))


def _float32(field: Shaped[np.ndarray, "y x"]) -> Field:
    return np.ascontiguousarray(field, np.float32)
