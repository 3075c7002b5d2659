"""Arrays on coarser grids: halved, doubled, and smoothed on as coarse a one as a scale allows."""

import numpy as np
from jaxtyping import Bool, Float32, Shaped

COARSER_ABOVE_VARIANCE = 4


def smoothed(
    values: Float32[np.ndarray, "z y x"] | Bool[np.ndarray, "z y x"], scale_voxels: float
) -> Float32[np.ndarray, "z y x"]:
    """Values smoothed by nearly a Gaussian of this standard deviation; beyond the array they are as at its edge."""
    return _smoothed(values, scale_voxels**2)


def halved(values: Float32[np.ndarray, "z y x"] | Bool[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z2 y2 x2"]:
    """Means of 2 x 2 x 2 voxels; an odd last one counts twice."""
    sums = values.astype(np.uint8) if values.dtype == bool else values
    for axis in range(3):
        rows = np.moveaxis(sums, axis, 0)
        if len(rows) % 2:
            rows = np.concatenate([rows, rows[-1:]])
        sums = np.moveaxis(rows[::2] + rows[1::2], 0, axis)
    return sums * np.float32(1 / 8)


def doubled(
    values: Float32[np.ndarray, "z2 y2 x2"] | Bool[np.ndarray, "z2 y2 x2"], shape: tuple[int, ...]
) -> Float32[np.ndarray, "z y x"]:
    """Linear interpolation between the means of 2 x 2 x 2 voxels of an array of this shape."""
    values = values.astype(np.float32, copy=False)
    for axis in (2, 1, 0):
        rows = np.moveaxis(values, axis, 0)
        around = _with_edges(0.25 * rows, 1)
        twice = np.stack([around[:-2], around[2:]], axis=1)
        twice += 0.75 * rows[:, None]
        values = np.moveaxis(twice.reshape(-1, *rows.shape[1:])[: shape[axis]], 0, axis)
    return values


def _smoothed(
    values: Float32[np.ndarray, "z y x"] | Bool[np.ndarray, "z y x"], variance: float
) -> Float32[np.ndarray, "z y x"]:
    """By a binomial, which is nearly a Gaussian."""
    if variance > COARSER_ABOVE_VARIANCE:
        # Halving and doubling smooth by a variance of 1 voxel.
        return doubled(_smoothed(halved(values), (variance - 1) / 4), values.shape)
    pairs = round(2 * variance)
    # A mask is summed in two bytes where the sums fit.
    sums = values.astype(np.uint16 if values.dtype == bool and 6 * pairs < 16 else np.float32)
    for axis in range(3):
        rows = _with_edges(np.moveaxis(sums, axis, 0), pairs)
        for _ in range(2 * pairs):
            rows = rows[1:] + rows[:-1]
        sums = np.moveaxis(rows, 0, axis)
    return np.multiply(sums, 0.5 ** (6 * pairs), dtype=np.float32)


def _with_edges(rows: Shaped[np.ndarray, "n a b"], count: int) -> Shaped[np.ndarray, "m a b"]:
    """The first and the last row so many times more."""
    return np.pad(rows, [(count, count), (0, 0), (0, 0)], mode="edge")
