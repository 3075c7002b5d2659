"""Blocks of voxels as channels: no voxel is lost, and layers on blocks are those on voxels."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.models.layers import Conv3D, GroupNorm
from medssl_jax.models.target import compiled_for
from medssl_jax.models.voxel_blocks import VOXEL, Block, depth_to_space, space_to_depth


def noise(seed, *shape):
    """NumPy's: JAX takes seconds to compile a draw."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_space_to_depth_keeps_every_voxel_of_a_block():
    x = jnp.arange(64.0).reshape(1, 4, 4, 4, 1)
    blocks = space_to_depth(x)
    np.testing.assert_array_equal(np.sort(blocks[0, 1, 0, 1]), np.sort(np.ravel(x[0, 2:4, 0:2, 2:4])))


@pytest.mark.parametrize("block", [(2, 2, 2), (2, 4, 4), (1, 2, 2)])
def test_blocks_are_the_same_on_a_tpu_and_lead_back(block):
    """To the bit: what divides a row there is a product with ones and zeros."""
    x = noise(0, 2, 4, 8, 12, 1)
    with compiled_for("tpu"):
        blocks = space_to_depth(x, block)
    np.testing.assert_array_equal(blocks, space_to_depth(x, block))
    np.testing.assert_array_equal(depth_to_space(blocks, block), x)


class Stem(nn.Module):
    """From voxels through blocks of `full` to blocks of `half` at half the resolution, and back to voxels."""

    full: Block
    half: Block
    kernel: int = 3

    @nn.compact
    def __call__(self, x):
        x = Conv3D(4, given=self.full, made=self.full)(space_to_depth(x, self.full))
        x = Conv3D(5, self.kernel, 2, use_bias=True, given=self.full, made=self.half)(GroupNorm(block=self.full)(x))
        return depth_to_space(jnp.sin(x), self.half)


@pytest.mark.parametrize(
    ("platform", "full", "half", "kernel"),
    [
        ("cpu", (2, 2, 2), (1, 1, 1), 3),
        ("tpu", (2, 2, 2), (1, 1, 1), 3),
        ("tpu", (2, 4, 4), (1, 2, 2), 3),
        ("tpu", (1, 2, 2), (1, 1, 1), 1),
    ],
)
def test_on_blocks_it_is_the_same_function_of_the_same_parameters(platform, full, half, kernel):
    x = noise(0, 2, 6, 4, 8, 1)
    plain, on_blocks = Stem(VOXEL, VOXEL, kernel), Stem(full, half, kernel)
    params, same = (jax.jit(stem.init)(jax.random.key(0), x) for stem in (plain, on_blocks))
    jax.tree.map(np.testing.assert_array_equal, params, same)

    def value_and_gradients(stem):
        def total(params, x):
            y = stem.apply(params, x)
            return (y * noise(1, *y.shape)).sum(), y

        with compiled_for(platform):
            return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(params, x)

    ours, theirs = (jax.tree.leaves(value_and_gradients(stem)) for stem in (on_blocks, plain))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(jnp.abs(b).max()))


def test_blocks_have_the_channels_of_their_voxels_side_by_side():
    """So that a norm may look at the voxels of a block as one more axis of space."""
    x = noise(0, 1, 4, 4, 4, 3)
    voxels = space_to_depth(x).reshape(1, 2, 2, 2, 8, 3)
    np.testing.assert_array_equal(voxels[0, 1, 0, 1, 5], x[0, 3, 0, 3])
