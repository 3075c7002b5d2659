"""Convolution of volumes and images on a CPU, with its gradient in a form that XLA is fast at there.

XLA's own 3-D convolution is over ten times slower on a CPU than a 2-D convolution for each slice of the kernel. Its
gradient with respect to a kernel reads all of the input at once, more than a cache holds, and inside a loop it leaves
axes in an order that it has no fast code for. Here a few slices are read at a time, with axes in the order it likes.
The sums are those of the plain convolution, to rounding.
"""

import contextlib
import contextvars
import functools
import operator
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Numbers that are read at a time for the slope of a kernel. Measured: twice or half of it costs little.
READ_AT_ONCE = 2**18

_batch_is_shared: contextvars.ContextVar[bool] = contextvars.ContextVar("batch_is_shared", default=False)


@contextlib.contextmanager
def batch_shared() -> Iterator[None]:
    """Within, networks are traced for devices that share the rows of a batch.

    They read all at once for the slope of a kernel: after each part of it they would have to add up and wait.
    """
    before = _batch_is_shared.set(True)
    try:
        yield
    finally:
        _batch_is_shared.reset(before)


def border(side: int) -> tuple[int, int]:
    """The zeros before and after an axis, so that a kernel of `side` keeps its length and a stride divides it."""
    return side // 2, (side - 1) // 2


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_on_cpu(
    x: Float[Array, "b z y x c"], kernel: Float[Array, "k_z k_y k_x c d"], strides: tuple[int, int]
) -> Float[Array, "b _z _y _x d"]:
    """Convolves within a border of zeros; `strides` between slices and within them divide the sides, rounding up."""
    between, within = strides
    borders = [border(side) for side in kernel.shape[1:3]]
    convolved = (
        _correlate(_as_images(slices), weights, borders, strides=(within, within))
        for slices, weights in zip(_slices_of_taps(x, len(kernel), between), kernel, strict=True)
    )
    images = functools.reduce(operator.add, convolved)
    return images.reshape(len(x), -1, *images.shape[1:])


def _forward(x: Array, kernel: Array, strides: tuple[int, int]) -> tuple[Array, tuple[Array, Array]]:
    return convolve_on_cpu(x, kernel, strides), (x, kernel)


def _backward(strides: tuple[int, int], inputs: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, kernel = inputs
    return _slope_of_input(x, kernel, strides, slope), _slope_of_kernel(x, kernel, strides, slope)


convolve_on_cpu.defvjp(_forward, _backward)


def _slope_of_input(x: Array, kernel: Array, strides: tuple[int, int], slope: Array) -> Array:
    """The slope of the loss with respect to `x`: each tap puts back what it has read."""
    between, within = strides
    turned = jnp.flip(kernel, (1, 2)).swapaxes(3, 4)
    borders = [
        (side - 1 - before, before + left_over)
        for side, (before, _), left_over in zip(
            kernel.shape[1:3],
            map(border, kernel.shape[1:3]),
            _left_over(x.shape[2:4], slope.shape[2:4], within),
            strict=True,
        )
    ]
    before, _ = border(len(kernel))
    (left_over,) = _left_over(x.shape[1:2], slope.shape[1:2], between)
    total = jnp.zeros_like(x)
    for tap, weights in enumerate(turned):
        images = _correlate(_as_images(slope), weights, borders, x_dilation=(within, within))
        slices = images.reshape(*slope.shape[:2], *images.shape[1:])
        place = (tap - before, left_over + before - tap, between - 1)
        total += jax.lax.pad(slices, jnp.zeros((), slices.dtype), [(0, 0, 0), place, *[(0, 0, 0)] * 3])
    return total


def _slope_of_kernel(x: Array, kernel: Array, strides: tuple[int, int], slope: Array) -> Array:
    """The slope of the loss with respect to the kernel, a few slices of `slope` after the other."""
    between, within = strides
    taps, *sides, channels, features = kernel.shape
    borders = [
        (before, side - 1 - before - left_over)
        for side, (before, _), left_over in zip(
            sides, map(border, sides), _left_over(x.shape[2:4], slope.shape[2:4], within), strict=True
        )
    ]
    depth = slope.shape[1]
    numbers_of_slice = slope[:, 0, ..., 0].size * max(taps * channels, features)
    count = depth if _batch_is_shared.get() else _divisor_within(depth, READ_AT_ONCE // numbers_of_slice)
    padded = jnp.pad(x, [(0, 0), border(taps), *[(0, 0)] * 3])

    def slope_by(first: Array | int) -> Array:
        read = jax.lax.dynamic_slice_in_dim(padded, first * between, (count - 1) * between + taps, axis=1)
        stacked = jnp.concatenate([read[:, tap : tap + (count - 1) * between + 1 : between] for tap in range(taps)], -1)
        slopes = jax.lax.dynamic_slice_in_dim(slope, first, count, axis=1)
        return _correlate(
            _as_images(stacked).transpose(3, 1, 2, 0),
            _as_images(slopes).transpose(1, 2, 0, 3),
            borders,
            kernel_dilation=(within, within),
        ).astype(jnp.float32)

    if count == depth:
        total = slope_by(0)
    else:
        total = jnp.zeros((taps * channels, *sides, features), jnp.float32)
        total, _ = jax.lax.scan(
            lambda so_far, first: (so_far + slope_by(first), None), total, jnp.arange(0, depth, count)
        )
    return total.reshape(taps, channels, *sides, features).transpose(0, 2, 3, 1, 4).astype(kernel.dtype)


def _divisor_within(number: int, most: int) -> int:
    """The largest divisor of a number that is at most `most`, or 1."""
    return max(each for each in range(1, number + 1) if number % each == 0 and each <= max(1, most))


def _slices_of_taps(x: Array, taps: int, stride: int) -> list[Array]:
    """For each slice of a kernel the slices of `x` that it meets."""
    padded = jnp.pad(x, [(0, 0), border(taps), *[(0, 0)] * 3])
    last = padded.shape[1] - taps
    return [padded[:, tap : tap + last + 1 : stride] for tap in range(taps)]


def _as_images(x: Float[Array, "b z y x c"]) -> Float[Array, "bz y x c"]:
    return x.reshape(-1, *x.shape[2:])


def _left_over(sides: Sequence[int], places: Sequence[int], stride: int) -> list[int]:
    """Along each axis what lies behind the last place that the kernel is centred on."""
    return [side - stride * (count - 1) - 1 for side, count in zip(sides, places, strict=True)]


def _correlate(
    x: Float[Array, "n y x c"],
    kernel: Float[Array, "k_y k_x c d"],
    borders: Sequence[tuple[int, int]],
    *,
    strides: Sequence[int] = (1, 1),
    x_dilation: Sequence[int] | None = None,
    kernel_dilation: Sequence[int] | None = None,
) -> Float[Array, "n _y _x d"]:
    return jax.lax.conv_general_dilated(
        x, kernel, strides, borders, x_dilation, kernel_dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
