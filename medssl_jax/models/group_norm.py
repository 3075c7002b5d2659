"""Normalisation of groups of channels, with its gradient: each number is read twice and written once, both ways.

Equal to Flax's, which sums within groups: there a row of memory is a few channels. Here each channel is summed over
space first and only those sums are put into groups; what is left is one product and one sum a number. Kept for the
gradient are `x` as it came and the moments: what JAX would keep of its own is float32, several times as much.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medssl_jax.models.target import target_platform

Groups = tuple[int, int]  # the voxels of a block, whose channels lie side by side, and the groups of a voxel's channels


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalise_groups(
    x: Float[Array, "b *space c"], scale: Float[Array, " c"], bias: Float[Array, " c"], groups: Groups, epsilon: float
) -> Float[Array, "b *space c"]:
    """`x` with mean 0 and variance 1 in each group of each row, times `scale` plus `bias` (arXiv 1803.08494).

    Moments are float32 whatever the type of `x` is; `epsilon` is added to the variance.
    """
    return _forward(x, scale, bias, groups, epsilon)[0]


def _forward(
    x: Array, scale: Array, bias: Array, groups: Groups, epsilon: float
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    x = _apart(x)
    wide = x.astype(jnp.float32)
    mean = _over_groups(_mean_over_space(wide), groups)
    variance = _over_groups(_mean_over_space(wide**2), groups) - mean**2
    inverse = jax.lax.rsqrt(jnp.maximum(variance, 0) + epsilon)
    factor = scale * inverse
    return (wide * factor + (bias - mean * factor)).astype(x.dtype), (x, scale, mean, inverse)


def _backward(
    groups: Groups, epsilon: float, kept: tuple[Array, Array, Array, Array], slope: Array
) -> tuple[Array, Array, Array]:
    """The slopes of `x`, `scale` and `bias`: a result reaches `x` directly, by the mean and by the variance."""
    x, scale, mean, inverse = kept
    wide, wide_slope = x.astype(jnp.float32), _apart(slope).astype(jnp.float32)
    by_bias = _mean_over_space(wide_slope)
    by_scale = _mean_over_space(wide_slope * (wide - mean)) * inverse
    by_mean, by_variance = (_over_groups(scale * each, groups) for each in (by_bias, by_scale))
    # d x = inverse (scale slope - by_mean - (x - mean) inverse by_variance), as a sum of products with what is read.
    factor = inverse**2 * by_variance
    slope_of_x = wide_slope * (scale * inverse) - wide * factor + (mean * factor - inverse * by_mean)
    places = math.prod(x.shape[1:-1])
    of_scale, of_bias = (places * each.sum(range(x.ndim - 1)) for each in (by_scale, by_bias))
    return slope_of_x.astype(x.dtype), of_scale, of_bias


normalise_groups.defvjp(_forward, _backward)


def _apart(x: Array) -> Array:
    """The same array, on a TPU out of reach of what its compiler does to the convolution before.

    That compiler makes many rows of few by cutting them into strips, and goes on so through all that reads them: a norm
    of strips is masked, copied and broadcast in float32. Stem and two stages of luna_25, gradient of two patches of
    160^3 as compiled for a v5e: 86 GB of traffic so, 33 with norms of whole rows, for a third of the memory.
    """
    return jax.lax.optimization_barrier(x) if target_platform() == "tpu" else x


def _over_groups(means: Float[Array, "b *ones c"], groups: Groups) -> Float[Array, "b *ones c"]:
    """For each channel the mean of its group's, of all voxels of a block."""
    grouped = means.reshape(*means.shape[:-1], *groups, -1)
    return jnp.broadcast_to(grouped.mean((-3, -1), keepdims=True), grouped.shape).reshape(means.shape)


def _mean_over_space(x: Float[Array, "b *space c"]) -> Float[Array, "b *ones c"]:
    return x.mean(range(1, x.ndim - 1), keepdims=True)
