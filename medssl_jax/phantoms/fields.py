"""Smooth shapes as fields on a coarse grid: signed distances in mm, negative inside.

A distance is nearly linear between grid points, so a grid of 2 mm holds surfaces far sharper than 2 mm.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import Float, Float32, Int, Shaped

with epy.lazy_imports():
    from scipy import ndimage

Field = Float32[np.ndarray, "z y x"]
Array = Shaped[np.ndarray, "..."]
Plane = Float32[np.ndarray, "rows columns"]
Points = Float[np.ndarray, "n 3"]  # z, y, x in mm
Coordinates = tuple[Float32[np.ndarray, "z 1 1"], Float32[np.ndarray, "1 y 1"], Float32[np.ndarray, "1 1 x"]]


@dataclasses.dataclass(frozen=True)
class CoarseGrid:
    """Even steps of `step_mm` round the middle of the scan, reaching past its edges."""

    step_mm: float
    size_zyx: tuple[int, int, int]

    @classmethod
    def covering(cls, extent_zyx_mm: Sequence[float], step_mm: float) -> "CoarseGrid":
        """The grid that covers a scan of this size and one step more."""
        z, y, x = (int(np.ceil(extent / step_mm)) + 3 for extent in extent_zyx_mm)
        return cls(step_mm, (z, y, x))

    def coordinates(self) -> Coordinates:
        """Broadcastable z, y, x in mm."""
        z, y, x = ((np.arange(n, dtype=np.float32) - (n - 1) / 2) * np.float32(self.step_mm) for n in self.size_zyx)
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def index(self, position_mm: Any, axis: int) -> Any:
        """Fractional index along `axis` of a coordinate in mm, or of an array of them."""
        return position_mm / self.step_mm + (self.size_zyx[axis] - 1) / 2

    def at_points(self, field: Field, points_zyx_mm: Points) -> Shaped[np.ndarray, " n"]:
        """A field's values at points of the body's frame, linear between grid points."""
        index = [self.index(points_zyx_mm[:, axis], axis) for axis in range(3)]
        values: Shaped[np.ndarray, " n"] = ndimage.map_coordinates(field, index, order=1, mode="nearest")
        return values

    def gradient_at_points(self, field: Field, points_zyx_mm: Points) -> Shaped[np.ndarray, "n 3"]:
        """A field's gradient along z, y, x at points, by central differences over two steps."""
        shifts = np.eye(3) * self.step_mm
        ahead = [self.at_points(field, points_zyx_mm + shift) for shift in shifts]
        behind = [self.at_points(field, points_zyx_mm - shift) for shift in shifts]
        return (np.stack(ahead, axis=-1) - np.stack(behind, axis=-1)) / (2 * self.step_mm)

    def points_in(self, voxels: Int[np.ndarray, " voxels"], count: int, rng: np.random.Generator) -> Points:
        """Draws points spread evenly over some voxels, given by their flat indices."""
        index = np.stack(np.unravel_index(rng.choice(voxels, count), self.size_zyx), axis=1)
        jittered = index + rng.uniform(-0.5, 0.5, index.shape)
        return (jittered - (np.array(self.size_zyx) - 1) / 2) * self.step_mm


class PlaneSampler:
    """Values of coarse fields on the planes of a fine grid, linear between coarse points."""

    def __init__(self, grid: CoarseGrid, y_mm: Float32[np.ndarray, " y"], x_mm: Float32[np.ndarray, " x"]):
        self._grid = grid
        self._y, self._x = _steps(grid, y_mm, 1), _steps(grid, x_mm, 2)

    def __call__(self, field: Field, z_mm: float | np.floating[Any]) -> Plane:
        """The field on the plane at `z_mm`."""
        position = self._grid.index(float(z_mm), 0)
        below = min(max(int(position), 0), len(field) - 2)
        share = np.float32(position - below)
        plane = field[below] * (1 - share) + field[below + 1] * share
        (rows, down), (columns, across) = self._y, self._x
        return _blend(_blend(plane, rows, down[:, None], axis=0), columns, across, axis=1)


def _blend(
    plane: Plane, lower: Int[np.ndarray, " n"], share: Float32[np.ndarray, "..."], axis: int
) -> Float32[np.ndarray, "_ _"]:
    low = np.take(plane, lower, axis)
    return low + (np.take(plane, lower + 1, axis) - low) * share


def _steps(
    grid: CoarseGrid, positions_mm: Float32[np.ndarray, " n"], axis: int
) -> tuple[Int[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    position = grid.index(positions_mm.astype(np.float64), axis)
    lower = np.clip(position.astype(int), 0, grid.size_zyx[axis] - 2)
    return lower, (position - lower).astype(np.float32)


def distance_from_level(level: Array, step_mm: float) -> Field:
    """Distance to the surface where `level` is 0, to first order (exact at the surface)."""
    level = level.astype(np.float32)
    slope2 = sum(part * part for part in np.gradient(level, step_mm))
    distance: Field = level / np.sqrt(np.maximum(slope2, 1e-8))
    return distance


def smooth_max(a: Array, b: Array, width_mm: float) -> Array:
    """The larger of two distances, its crease rounded over `width_mm`: the smooth intersection of two shapes."""
    overlap = np.maximum(np.float32(width_mm) - np.abs(a - b), 0)
    return np.maximum(a, b) + overlap * overlap / np.float32(4 * width_mm)


def smooth_min(a: Array, b: Array, width_mm: float) -> Array:
    """The smooth union of two shapes."""
    return -smooth_max(-a, -b, width_mm)


def smooth_noise(rng: np.random.Generator, grid: CoarseGrid, grain_mm: float) -> Field:
    """A random field of standard deviation about 1 whose grains are `grain_mm` wide."""
    coarsening = max(1, int(grain_mm / (2 * grid.step_mm)))
    size = [int(np.ceil(n / coarsening)) + 2 for n in grid.size_zyx]
    sigma = grain_mm / (grid.step_mm * coarsening) / 2
    noise = ndimage.gaussian_filter(rng.standard_normal(size, dtype=np.float32), sigma, mode="wrap")
    noise /= noise.std() + np.float32(1e-6)
    for axis, n in enumerate(grid.size_zyx):
        position = np.arange(n) / coarsening
        lower = position.astype(int)
        share = (position - lower).astype(np.float32).reshape([-1 if axis == k else 1 for k in range(3)])
        noise = np.take(noise, lower, axis) * (1 - share) + np.take(noise, lower + 1, axis) * share
    return noise
