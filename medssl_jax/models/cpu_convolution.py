"""Convolution of volumes and images on a CPU, with its gradient in a form that XLA is fast at there.

XLA's own 3-D convolution is over ten times slower on a CPU than a 2-D convolution for each slice of the kernel. Its
gradient with respect to a kernel reads all of the input at once, more than a cache holds, and inside a loop it leaves
axes in an order that it has no fast code for. Here a few slices or rows are read at a time, with axes in the order it
likes. Its gradient with respect to the input of a stride multiplies zeros, which is not done here.
Without a stride, two results are found together (`winograd.py`). All is the plain convolution, to rounding.
"""

import contextlib
import contextvars
import functools
import math
import operator
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from medssl_jax.models import winograd

# Numbers that are read at a time for the slope of a kernel. Measured: twice or half of it costs little.
READ_AT_ONCE = 2**18
# Measured: Winograd's way pays along depth wherever there is work enough to pay for compiling it, within slices and for
# the slope of a kernel only with channels enough, within slices also only where these have some rows and the sums stay
# in a cache.
MUCH_WORK = 2**27  # multiplications
MANY_CHANNELS = 64
FEWEST_ROWS = 8
MOST_NUMBERS = 2**21

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
    """Convolves within a border of zeros; `strides` between slices and within them divide the sides, rounding up.

    Numbers of 16 bits are added up in 32 and rounded once, as accelerators do.
    """
    wide_x, wide_kernel = _in_float32(x, kernel)
    borders = [border(side) for side in kernel.shape[:3]]
    return _convolve(wide_x, wide_kernel, borders, strides).astype(x.dtype)


def _forward(x: Array, kernel: Array, strides: tuple[int, int]) -> tuple[Array, tuple[Array, Array]]:
    return convolve_on_cpu(x, kernel, strides), (x, kernel)


def _backward(strides: tuple[int, int], inputs: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, kernel, slope = _in_float32(*inputs, slope)
    slopes = _slope_of_input(x, kernel, strides, slope), _slope_of_kernel(x, kernel, strides, slope)
    return slopes[0].astype(inputs[0].dtype), slopes[1].astype(inputs[1].dtype)


convolve_on_cpu.defvjp(_forward, _backward)


def _in_float32(*arrays: Array) -> tuple[Array, ...]:
    return tuple(array.astype(jnp.float32) for array in arrays)


def _convolve(x: Array, kernel: Array, borders: Sequence[tuple[int, int]], strides: tuple[int, int] = (1, 1)) -> Array:
    """Convolves every slice with all slices of the kernel that read it, and adds up what belongs together."""
    between, within = strides
    taps, *_, channels, features = kernel.shape
    before, behind = borders[0]
    results = (x.shape[1] + before + behind - taps) // between + 1
    if taps > 1 and taps * channels <= features:
        return _convolve(*_as_channels(x, kernel, borders[0], between), [(0, 0), *borders[1:]], (1, within))
    if (axis := _axis_for_winograd(x, kernel, strides)) is not None:
        length = x.shape[axis + 1] + sum(borders[axis]) - 2
        inner = [(0, 0) if each == axis else border for each, border in enumerate(borders)]
        parts = zip(winograd.input_parts(x, borders[axis], axis + 1), winograd.kernel_parts(kernel, axis), strict=True)
        return winograd.join_results([_convolve(*part, inner, strides) for part in parts], axis + 1, length)
    summands = []
    for first in range(min(between, x.shape[1])):  # slices, which every `between`-th slice of the kernel reads
        reading = range((first + before) % between, taps, between)
        weights = jnp.concatenate([kernel[tap] for tap in reading], -1)
        images = _correlate(_as_images(x[:, first::between]), weights, borders[1:], strides=(within, within))
        volumes = images.reshape(len(x), -1, *images.shape[1:])
        for number, tap in enumerate(reading):
            found = volumes[..., number * features : (number + 1) * features]
            summands.append(_moved(found, (before + first - tap) // between, results))
    return functools.reduce(operator.add, summands)


def _as_channels(x: Array, kernel: Array, border_of_depth: tuple[int, int], stride: int) -> tuple[Array, Array]:
    """For each result all slices that it reads, side by side as channels, and a kernel of one slice for them.

    Where channels are few, to read them again is cheaper than to add up results. Their number is a multiple of 4:
    with 3 channels XLA's code takes four times as long as with 4.
    """
    padded = jnp.pad(x, [(0, 0), border_of_depth, *[(0, 0)] * 3])
    last = padded.shape[1] - len(kernel)
    side_by_side = jnp.concatenate([padded[:, tap : last + tap + 1 : stride] for tap in range(len(kernel))], -1)
    weights = kernel.transpose(1, 2, 0, 3, 4).reshape(*kernel.shape[1:3], -1, kernel.shape[-1])
    unused = -weights.shape[2] % 4
    widened = jnp.pad(side_by_side, [*[(0, 0)] * 4, (0, unused)])
    return widened, jnp.pad(weights, [(0, 0), (0, 0), (0, unused), (0, 0)])[None]


def _axis_for_winograd(x: Array, kernel: Array, strides: tuple[int, int]) -> int | None:
    """The axis of the kernel along which two results are found together: where it was measured to be faster."""
    if strides[0] == 1 and kernel.shape[0] == 3:
        return 0 if x.size * math.prod(kernel.shape[:3]) * kernel.shape[-1] >= MUCH_WORK else None
    fits = x.shape[-1] >= MANY_CHANNELS and x.shape[2] >= FEWEST_ROWS and x.size <= MOST_NUMBERS
    return 1 if fits and strides == (1, 1) and kernel.shape[:2] == (1, 3) else None


def _moved(x: Float[Array, "b z y x c"], by: int, depth: int) -> Float[Array, "b {depth} y x c"]:
    """Slices later by so many, with zeros before them, in a volume of `depth` slices."""
    place = (by, depth - by - x.shape[1], 0)  # what lies outside is cut off
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), place, *[(0, 0, 0)] * 3])


def _slope_of_input(x: Array, kernel: Array, strides: tuple[int, int], slope: Array) -> Array:
    """The slope of the loss with respect to `x`.

    With a stride, the voxels between two places of the result are found as channels of one place, and then put where
    they belong: with zeros between the places most products would be with 0.
    """
    between, within = strides
    stride_zyx = (between, within, within)
    found = _convolve(slope, *_turned(kernel, stride_zyx))
    voxels = found.reshape(*slope.shape[:4], *stride_zyx, x.shape[-1]).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    z, y, x_side = (count * stride for count, stride in zip(slope.shape[1:4], stride_zyx, strict=True))
    return voxels.reshape(len(x), z, y, x_side, -1)[:, : x.shape[1], : x.shape[2], : x.shape[3]]


def _turned(kernel: Array, stride_zyx: Sequence[int]) -> tuple[Array, list[tuple[int, int]]]:
    """A kernel that leads from results back to voxels, those of a stride side by side as channels, and its borders."""
    *sides, channels, features = kernel.shape
    borders, unused, shape = [], [], []
    for side, stride in zip(sides, stride_zyx, strict=True):
        before, behind = border(side)
        earlier, later = behind // stride, (before + stride - 1) // stride  # results that the voxels had a part in
        borders.append((earlier, later))
        unused.append((stride * later - before, stride * (earlier + 1) + before - side))
        shape += [earlier + 1 + later, stride]
    by_result = jnp.pad(kernel, [*unused, (0, 0), (0, 0)]).reshape(*shape, channels, features)
    turned = jnp.flip(by_result, (0, 2, 4)).transpose(0, 2, 4, 7, 1, 3, 5, 6)
    return turned.reshape(*turned.shape[:4], -1), borders


def _slope_of_kernel(x: Array, kernel: Array, strides: tuple[int, int], slope: Array) -> Array:
    """The slope of the loss with respect to the kernel, a few slices of `slope`, or rows of one, after the other."""
    between, within = strides
    taps, *sides, channels, features = kernel.shape
    depth, height = slope.shape[1:3]
    in_pairs = taps == 3 and between == 1 and depth % 2 == 0 and channels >= MANY_CHANNELS
    product = _product_in_pairs if in_pairs else functools.partial(_product_by_tap, taps=taps, between=between)
    count, rows = _slices_and_rows_at_once(slope, max(taps * channels, features), unit=2 if in_pairs else 1)
    _, behind = border(sides[1])
    in_row = (border(sides[1])[0], behind - _left_over(x.shape[3], slope.shape[3], within))
    padded = jnp.pad(x, [(0, 0), border(taps), border(sides[0]), (0, 0), (0, 0)])

    def part(z: ArrayLike, y: ArrayLike) -> Array:
        sizes = (len(x), (count - 1) * between + taps, (rows - 1) * within + sides[0], *x.shape[3:])
        read = jax.lax.dynamic_slice(padded, (0, z * between, y * within, 0, 0), sizes)
        slopes = jax.lax.dynamic_slice(slope, (0, z, y, 0, 0), (len(x), count, rows, *slope.shape[3:]))
        return product(read, slopes, within, in_row)

    if (count, rows) == (depth, height):
        total = part(0, 0)
    else:
        places = np.meshgrid(np.arange(0, depth, count), np.arange(0, height, rows), indexing="ij")
        firsts = tuple(map(np.ravel, places))
        zeros = jnp.zeros(jax.eval_shape(part, 0, 0).shape, jnp.float32)
        total, _ = jax.lax.scan(lambda so_far, first: (so_far + part(*first), None), zeros, firsts)
    by_slice = total.reshape(-1, channels, *sides, features).transpose(0, 2, 3, 1, 4)
    return winograd.join_kernel_slopes(by_slice) if in_pairs else by_slice


def _slices_and_rows_at_once(slope: Array, channels: int, *, unit: int) -> tuple[int, int]:
    """How many slices, a multiple of `unit`, and how many rows of each are read at a time."""
    depth, height = slope.shape[1:3]
    if _batch_is_shared.get():
        return depth, height
    rows_at_once = READ_AT_ONCE // (slope[:, 0, 0, :, 0].size * channels)
    slices = unit * _divisor_within(depth // unit, rows_at_once // (unit * height))
    return slices, _divisor_within(height, rows_at_once // unit)


def _product_by_tap(
    read: Array, slopes: Array, within: int, in_row: tuple[int, int], *, taps: int, between: int
) -> Float[Array, "_channels k_y k_x d"]:
    """What slopes and the slices that they were read from add to the slope of the kernel: its slices one by one."""
    last = (slopes.shape[1] - 1) * between
    stacked = jnp.concatenate([read[:, tap : tap + last + 1 : between] for tap in range(taps)], -1)
    return _product_within(stacked, slopes, within, in_row)


def _product_in_pairs(
    read: Array, slopes: Array, within: int, in_row: tuple[int, int]
) -> Float[Array, "_channels k_y k_x d"]:
    """The same of each two slices together, for `winograd.join_kernel_slopes`."""
    pairs = zip(winograd.input_parts(read, (0, 0), 1), winograd.slope_parts(slopes, 1), strict=True)
    return jnp.concatenate([_product_within(*pair, within, in_row) for pair in pairs])


def _product_within(
    read: Array, slopes: Array, stride: int, in_row: tuple[int, int]
) -> Float[Array, "_channels k_y k_x d"]:
    """The slope of a kernel within slices: a convolution over the voxels, patches and slices being its channels."""
    return _correlate(
        _as_images(read).transpose(3, 1, 2, 0),
        _as_images(slopes).transpose(1, 2, 0, 3),
        [(0, 0), in_row],
        kernel_dilation=(stride, stride),
    )


def _divisor_within(number: int, most: int) -> int:
    """The largest divisor of a number that is at most `most`, or 1."""
    return max(each for each in range(1, number + 1) if number % each == 0 and each <= max(1, most))


def _as_images(x: Float[Array, "b z y x c"]) -> Float[Array, "bz y x c"]:
    return x.reshape(-1, *x.shape[2:])


def _left_over(side: int, places: int, stride: int) -> int:
    """Along an axis what lies behind the last place that the kernel is centred on."""
    return side - stride * (places - 1) - 1


def _correlate(
    x: Float[Array, "n y x c"],
    kernel: Float[Array, "k_y k_x c d"],
    borders: Sequence[tuple[int, int]],
    *,
    strides: Sequence[int] = (1, 1),
    kernel_dilation: Sequence[int] | None = None,
) -> Float[Array, "n _y _x d"]:
    return jax.lax.conv_general_dilated(
        x, kernel, strides, borders, None, kernel_dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
