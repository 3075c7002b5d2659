"""Convolution with three taps along an axis, two results from four products where one by one they take six.

Winograd's F(2, 3) (Lavin and Gray, arXiv 1509.09308). The products are of whole arrays: convolutions along the axes
that are left. Sums of float32 numbers come out as those of the plain convolution, to rounding.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Four = tuple[Array, Array, Array, Array]


def input_parts(x: Array, border: tuple[int, int], axis: int) -> Four:
    """Sums of the four places along `axis` that each two results read, within a border of zeros."""
    before, behind = border
    length = x.shape[axis]
    pairs = -(-(length + before + behind - 2) // 2)
    padding = [(0, 0)] * x.ndim
    padding[axis] = (before, 2 * pairs + 2 - before - length)
    padded = jnp.pad(x, padding)
    a, b, c, d = (jax.lax.slice_in_dim(padded, place, place + 2 * pairs - 1, 2, axis) for place in range(4))
    return a - c, b + c, c - b, b - d


def kernel_parts(kernel: Array, axis: int) -> Four:
    """Sums of the three taps along `axis`, which becomes 1 long: each for one of `input_parts`."""
    a, b, c = jnp.split(kernel, 3, axis)
    return a, (a + b + c) / 2, (a - b + c) / 2, c


def join_results(products: Sequence[Array], axis: int, length: int) -> Array:
    """The results along `axis` from the four products, without the one too many where `length` is odd."""
    p, q, r, s = products
    pairs = jnp.stack([p + q + r, q - r - s], axis + 1)
    return jax.lax.slice_in_dim(pairs.reshape(*p.shape[:axis], -1, *p.shape[axis + 1 :]), 0, length, 1, axis)


def slope_parts(slope: Array, axis: int) -> Four:
    """Sums of each two slopes along `axis`, an even number of them, for the slope of the kernel: as `input_parts`."""
    even, odd = (jax.lax.slice_in_dim(slope, place, None, 2, axis) for place in range(2))
    return even, even + odd, even - odd, -odd


def join_kernel_slopes(products: Float[Array, " 4 *kernel"]) -> Float[Array, " 3 *kernel"]:
    """The slopes of the three taps from the products of `input_parts` and `slope_parts`."""
    p, q, r, s = products
    return jnp.stack([p + (q + r) / 2, (q - r) / 2, (q + r) / 2 + s])
