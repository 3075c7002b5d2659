"""The image that a microscope makes: stray light, stitched fields, black corners, exposure, noise, eight bits."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped, UInt8

from medssl_jax.phantoms.slides.blocks import BlockGrid, Field, smooth_noise
from medssl_jax.phantoms.slides.roster import PlannedSlide
from medssl_jax.phantoms.slides.spec import LksPhantom
from medssl_jax.phantoms.slides.stains import AUTOFLUORESCENCE

FIELDS_YX = (10, 12)  # camera fields that are stitched
STEPS = (2, 1, 0, 1, 2)  # camera fields missing at each end of every two rows of them
VIGNETTE = 0.05  # what each axis of a camera field loses towards its ends
NOISE_GREY = 20.0  # where the noise is that of the spec
FOCUS = (0.55, 1.0)


@dataclasses.dataclass(frozen=True)
class Microscope:
    """How one slide was taken."""

    exposure: float
    noise: float
    blur: float  # pixels
    stray: Field  # grey levels of light from elsewhere
    sharpness: Field  # of textures, 0 to 1
    field_gains: Float32[np.ndarray, "rows columns"]  # 0 where no camera field was taken


def draw_microscope(spec: LksPhantom, slide: PlannedSlide, grid: BlockGrid, rng: np.random.Generator) -> Microscope:
    """Draws how one slide is taken."""
    exposure = float(np.exp(spec.exposure_drift * np.clip(rng.normal(), -2, 2)))
    noise = spec.noise * rng.uniform(0.85, 1.15)
    blur = rng.uniform(0.45, 0.8)
    gains = rng.normal(1, 0.035, FIELDS_YX).astype(np.float32)
    for step, missing in enumerate(STEPS):
        left, right = (max(missing + shift, 0) for shift in rng.choice((-1, 0, 0, 0, 0), 2))
        gains[2 * step : 2 * step + 2, :left] = 0
        gains[2 * step : 2 * step + 2, FIELDS_YX[1] - right :] = 0
    stray: Shaped[np.ndarray, "y x"] = AUTOFLUORESCENCE["mount"] * (
        1 + 0.22 * smooth_noise(rng, grid, 0.25) + 0.08 * smooth_noise(rng, grid, 0.06)
    )
    for _ in range(rng.poisson(4 * spec.debris)):
        distance, radius, grey = _distance(grid, rng.uniform(0, 1, 2)), rng.uniform(0.015, 0.045), rng.uniform(2, 9)
        stray = stray + grey * np.clip((radius - distance) / (0.3 * radius), 0, 1)
    for corner in _outer_corners(gains):
        if rng.random() < 0.25 * spec.debris:
            distance, radius, grey = _distance(grid, corner), rng.uniform(0.008, 0.022), rng.uniform(100, 500)
            flare = grey * np.exp(-((distance / radius) ** 2)) + 6 * np.exp(-((distance / (5 * radius)) ** 2))
            stray = stray + flare
    veil = _veil(grid, rng)
    if slide.hazy:
        stray = stray + veil
    sharpness = FOCUS[0] + (FOCUS[1] - FOCUS[0]) / (1 + np.exp(-1.5 - 1.5 * smooth_noise(rng, grid, 0.2)))
    return Microscope(
        exposure=exposure,
        noise=float(noise),
        blur=float(blur),
        stray=np.maximum(stray, 1).astype(np.float32),
        sharpness=sharpness.astype(np.float32),
        field_gains=gains,
    )


def mosaic_gain(microscope: Microscope, grid: BlockGrid, rows: slice) -> Float32[np.ndarray, "rows columns"]:
    """The brightness of the stitched fields, exposure included, at rows of pixels counted from the first block's."""
    (field_y, along), (field_x, across) = (_within_field(grid, axis) for axis in range(2))
    gains = microscope.field_gains[:, field_x] * np.float32(microscope.exposure)
    falling = gains * np.float32(VIGNETTE)
    level = gains - falling * across**2
    return level[field_y[rows]] - falling[field_y[rows]] * (along[rows] ** 2)[:, None]


def expose(
    light: Float32[np.ndarray, "rows columns"], noise: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "rows columns"]:
    """Photon noise and eight bits; where there is no light there is none of either."""
    spread = np.sqrt(np.maximum(light, 0)) * np.float32(noise / np.sqrt(NOISE_GREY))
    grey = light + spread * rng.standard_normal(light.shape, dtype=np.float32)
    return np.clip(grey + np.float32(0.5), 0, 255).astype(np.uint8)


def _within_field(grid: BlockGrid, axis: int) -> tuple[Int[np.ndarray, " pixels"], Float32[np.ndarray, " pixels"]]:
    """For each pixel along an axis its camera field, and where in it from -1 to 1."""
    first, count = grid.first_yx[axis] * grid.block, grid.blocks_yx[axis] * grid.block
    position = (np.arange(first, first + count) + 0.5) / grid.side * FIELDS_YX[axis]
    field = np.clip(position.astype(int), 0, FIELDS_YX[axis] - 1)
    return field, np.clip(2 * (position - field) - 1, -1, 1).astype(np.float32)


def _distance(grid: BlockGrid, place_yx: Sequence[float] | Float[np.ndarray, " 2"]) -> Field:
    y, x = grid.corners()
    return np.hypot(y - np.float32(place_yx[0]), x - np.float32(place_yx[1]))


def _outer_corners(gains: Float32[np.ndarray, "rows columns"]) -> Iterator[tuple[float, float]]:
    """Yields the corners of the stitched field, where light leaks in, as shares of the side."""
    rows, columns = gains.shape
    for row in (0, rows - 1):
        taken = np.flatnonzero(gains[row])
        for column in (taken[0], taken[-1] + 1):
            yield float(row > 0), float(column / columns)


def _veil(grid: BlockGrid, rng: np.random.Generator) -> Shaped[np.ndarray, "y x"]:
    y, x = grid.corners()
    centre_y, centre_x = rng.normal((0.55, 0.5), 0.06)
    width, grey = rng.uniform((0.15, 12), (0.21, 20))
    lobes = np.clip(0.8 + 0.35 * smooth_noise(rng, grid, 0.16), 0, 2)
    return grey * lobes * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * width**2)).astype(np.float32)
