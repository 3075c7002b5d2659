"""Cubic anchors of a feature pyramid, and how a flat list of anchors folds back into its grids.

Anchors are cubes at places that are symmetric about the centre of the patch. Flips and quarter turns of the
patch therefore permute them exactly, which target prediction relies on (FocalMix, arXiv 2003.09108).
"""

import dataclasses
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medssl_jax.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class AnchorLevel:
    """One level of the pyramid: a place every `stride` voxels, a cube of each of `sides_voxel` at each place."""

    stride: int
    sides_voxel: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class AnchorGrid:
    """All anchors of a cubic patch of `patch_side` voxels, ordered by level, z, y, x, side.

    Raises `InputError` where the side is not a multiple of every stride.
    """

    patch_side: int
    levels: tuple[AnchorLevel, ...]

    def __post_init__(self) -> None:
        for level in self.levels:
            if self.patch_side % level.stride:
                raise InputError(
                    f"patch side {self.patch_side} is not a multiple of the stride {level.stride} of the pyramid: "
                    f"choose a multiple of {math.lcm(*(level.stride for level in self.levels))}"
                )

    def __len__(self) -> int:
        return sum(math.prod(shape) for shape in self.grid_shapes)

    @property
    def grid_shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """`(places in z, in y, in x, sides)` of each level."""
        places = [(self.patch_side // level.stride, len(level.sides_voxel)) for level in self.levels]
        return tuple((count, count, count, sides) for count, sides in places)

    def boxes_zyxdhw(self) -> Float[np.ndarray, "anchors 6"]:
        """The anchors as boxes in voxels; place i is centred at stride * (i + 0.5) - 0.5."""
        return np.concatenate([_level_boxes(self.patch_side, level) for level in self.levels])

    def fold(self, values: Float[Array, "*batch anchors n"]) -> list[Float[Array, "*batch z y x sides n"]]:
        """Splits a flat list of values into one grid per level."""
        *batch, _, width = values.shape
        ends = np.cumsum([math.prod(shape) for shape in self.grid_shapes])[:-1]
        parts = jnp.split(values, ends, axis=-2)
        return [part.reshape(*batch, *shape, width) for part, shape in zip(parts, self.grid_shapes, strict=True)]

    def flatten(self, grids: Sequence[Float[Array, "*batch _z _y _x _sides n"]]) -> Float[Array, "*batch anchors n"]:
        """Joins one grid per level into a flat list: the inverse of `fold`."""
        return jnp.concatenate([grid.reshape(*grid.shape[:-5], -1, grid.shape[-1]) for grid in grids], axis=-2)


def _level_boxes(patch_side: int, level: AnchorLevel) -> Float[np.ndarray, "anchors 6"]:
    places = level.stride * (np.arange(patch_side // level.stride) + 0.5) - 0.5
    centres = np.stack(np.meshgrid(places, places, places, indexing="ij"), -1)[..., None, :]
    sides = np.asarray(level.sides_voxel)[:, None]
    shape = (*centres.shape[:3], len(sides), 3)
    boxes = np.concatenate([np.broadcast_to(centres, shape), np.broadcast_to(sides, shape)], -1)
    return boxes.reshape(-1, 6).astype(np.float32)
