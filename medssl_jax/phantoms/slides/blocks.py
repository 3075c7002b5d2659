"""The blocks a slide is drawn in, and smooth fields on their corners.

Pixels count from the centre crop's first, so blocks of `shrink` pixels are the very boxes that the low-resolution image
averages; the margin round the crop has negative indices. Fields are linear between corners.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32

LATTICE_REACH = 0.2  # a lattice of noise goes so far beyond the crop, as a share of its side
LATTICE_SPREAD = 0.479  # the mean sum of squares of cubic B-spline weights

Field = Float32[np.ndarray, "y x"]  # on the corners of the blocks


@dataclasses.dataclass(frozen=True)
class BlockGrid:
    """Whole blocks that cover a slide's file, which cuts the outermost ones."""

    block: int
    side: int  # of the centre crop, in pixels
    before_yx: tuple[int, int]  # pixels of the file above and left of the crop
    after_yx: tuple[int, int]

    @property
    def first_yx(self) -> tuple[int, int]:
        """First block of rows and of columns; 0 is the crop's first."""
        rows, columns = (-_ceil_divide(before, self.block) for before in self.before_yx)
        return rows, columns

    @property
    def blocks_yx(self) -> tuple[int, int]:
        """How many blocks of rows and of columns."""
        rows, columns = (
            _ceil_divide(self.side + after, self.block) - first
            for after, first in zip(self.after_yx, self.first_yx, strict=True)
        )
        return rows, columns

    def corners(self) -> tuple[Float32[np.ndarray, "y 1"], Float32[np.ndarray, "1 x"]]:
        """Where the corners lie, broadcastable, as shares of the crop's side."""
        y, x = (
            (np.arange(first, first + count + 1) * self.block / self.side).astype(np.float32)
            for first, count in zip(self.first_yx, self.blocks_yx, strict=True)
        )
        return y[:, None], x[None, :]

    def pixels(self, field: Field, rows: slice, columns: slice) -> Float32[np.ndarray, "rows columns"]:
        """The field at the pixels of some rows and columns of blocks, counted from the first block."""
        shares = ((np.arange(self.block) + 0.5) / self.block).astype(np.float32)
        corners = field[rows.start : rows.stop + 1, columns.start : columns.stop + 1]
        upper, down = corners[:-1, None], np.diff(corners, axis=0)[:, None]
        lines = (upper + down * shares[:, None]).reshape(-1, corners.shape[1])
        left, across = lines[:, :-1, None], np.diff(lines, axis=1)[:, :, None]
        return (left + across * shares).reshape(len(lines), -1)


def _ceil_divide(number: int, divisor: int) -> int:
    return -(-number // divisor)


def smooth_noise(rng: np.random.Generator, grid: BlockGrid, grain: float) -> Field:
    """A random field on the corners, standard deviation about 1, its grains `grain` of the side wide.

    The same whatever the blocks and the margin are: cubic B-splines on a lattice of normal numbers.
    """
    count = int(np.ceil((1 + 2 * LATTICE_REACH) / grain)) + 1
    lattice = rng.standard_normal((count, count), dtype=np.float32)
    y, x = (_spline_weights((axis.ravel() + LATTICE_REACH) / grain, count) for axis in grid.corners())
    return (y @ lattice @ x.T / np.float32(LATTICE_SPREAD)).astype(np.float32)


def _spline_weights(positions: Float[np.ndarray, " n"], count: int) -> Float[np.ndarray, "n count"]:
    distance = np.abs(positions[:, None] - np.arange(count, dtype=np.float32))
    near = 2 / 3 - distance**2 * (1 - distance / 2)
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)
