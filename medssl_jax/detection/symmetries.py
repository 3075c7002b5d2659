"""The 48 symmetries of the cube, on voxels, on anchors and on box deltas.

A symmetry first permutes the axes, then flips some of them. The first 8 of `CUBE_SYMMETRIES` are the flips, and
the very first is the identity. FocalMix (arXiv 2003.09108) flips; the other 40 are our option.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from medssl_jax.detection.anchors import AnchorGrid

_PERMUTATIONS = tuple(itertools.permutations(range(3)))


class Symmetry(NamedTuple):
    """Axis i of the result is axis `permutation[i]` of the source, reversed where `flips[i]`."""

    permutation: Int[Array | np.ndarray, "*n 3"]
    flips: Bool[Array | np.ndarray, "*n 3"]


CUBE_SYMMETRIES = Symmetry(
    permutation=np.repeat(np.array(_PERMUTATIONS, np.int32), 8, axis=0),
    flips=np.tile(np.array(list(itertools.product([False, True], repeat=3))), (6, 1)),
)
FLIPS = jax.tree.map(lambda leaf: leaf[:8], CUBE_SYMMETRIES)
GROUPS = {"flips": FLIPS, "cube": CUBE_SYMMETRIES}


def apply_to_voxels(voxels: Float[Array, "b s s s *c"], symmetry: Symmetry) -> Float[Array, "b s s s *c"]:
    """Turns every cubic volume of a batch by one symmetry."""
    return _flip(_permute(voxels, symmetry.permutation), symmetry.flips)


def undo_on_voxels(voxels: Float[Array, "b s s s *c"], symmetry: Symmetry) -> Float[Array, "b s s s *c"]:
    """The inverse of `apply_to_voxels`."""
    return _permute(_flip(voxels, symmetry.flips), jnp.argsort(jnp.asarray(symmetry.permutation)))


def undo_on_anchors(
    values: Float[Array, "b anchors n"], symmetry: Symmetry, grid: AnchorGrid
) -> Float[Array, "b anchors n"]:
    """Brings scalars that were predicted on turned volumes back to the anchors of the unturned ones."""
    return grid.flatten([undo_on_voxels(level, symmetry) for level in grid.fold(values)])


def undo_on_deltas(deltas: Float[Array, "*n 4"], symmetry: Symmetry) -> Float[Array, "*n 4"]:
    """Turns the offsets in box deltas back; the size of a cube stays. Does not move them between anchors."""
    offset = jnp.where(symmetry.flips, -deltas[..., :3], deltas[..., :3])
    unturned = jnp.take(offset, jnp.argsort(jnp.asarray(symmetry.permutation)), axis=-1)
    return jnp.concatenate([unturned, deltas[..., 3:]], -1)


def draw_views(key: Array, count: int, group: Symmetry) -> Symmetry:
    """The identity and `count` - 1 other members of `group`, drawn without replacement."""
    others = 1 + jax.random.permutation(key, len(group.flips) - 1)[: count - 1]
    chosen = jnp.concatenate([jnp.zeros(1, others.dtype), others])
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[chosen], group)


def _flip(voxels: Array, flips: Bool[Array | np.ndarray, "3"]) -> Array:
    for axis in range(3):
        voxels = jnp.where(flips[axis], jnp.flip(voxels, axis + 1), voxels)
    return voxels


def _permute(voxels: Array, permutation: Int[Array | np.ndarray, "3"]) -> Array:
    trailing = range(4, voxels.ndim)
    branches = [lambda v, p=p: v.transpose(0, *(1 + axis for axis in p), *trailing) for p in _PERMUTATIONS]
    matches = (jnp.asarray(_PERMUTATIONS) == permutation).all(-1)
    return jax.lax.switch(jnp.argmax(matches), branches, voxels)
