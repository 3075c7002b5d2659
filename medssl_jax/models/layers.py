"""3-D convolution and normalisation, written so that they are fast on every backend.

XLA's 3-D convolution is over ten times slower than it need be on a CPU, and the input gradient of a strided one far
worse. There, the depth taps are stacked into channels and one 2-D convolution does the work: the same sums, to
rounding. GPUs and TPUs get the plain convolution.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


@contextlib.contextmanager
def compiled_for(platform: str) -> Iterator[None]:
    """Within, networks are traced as for `cpu`, `gpu` or `tpu`, whatever there is here."""
    before = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(before)


def target_platform() -> str:
    """The platform that networks are traced for: that of the devices here, unless `compiled_for` says otherwise."""
    return _platform.get() or jax.default_backend()


def draw_flat(initializer: nn.initializers.Initializer) -> nn.initializers.Initializer:
    """The same draws as `initializer`, without compiling a random generator for every 5-D shape (2 s each on a CPU).

    Only for initialisers whose scale does not depend on the shape.
    """

    def initialize(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        return initializer(key, (math.prod(shape),), dtype).reshape(shape)

    return initialize


def he_normal(fan_in: int) -> nn.initializers.Initializer:
    """Normal with variance 2 / fan_in (He et al., arXiv 1502.01852)."""
    return draw_flat(nn.initializers.normal(math.sqrt(2 / fan_in)))


class Conv3D(nn.Module):
    """Cubic convolution that keeps the size of its input, or halves it with stride 2."""

    features: int
    kernel: int = 3
    stride: int = 1
    use_bias: bool = False
    kernel_init: nn.initializers.Initializer | None = None
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x features"]:
        """Convolves; sides must be multiples of the stride."""
        shape = (*(self.kernel,) * 3, x.shape[-1], self.features)
        kernel_init = self.kernel_init or he_normal(math.prod(shape[:-1]))
        kernel = self.param("kernel", kernel_init, shape).astype(x.dtype)
        if self.kernel == 1:
            x = x[:, :: self.stride, :: self.stride, :: self.stride] @ kernel[0, 0, 0]
        elif target_platform() == "cpu":
            x = _stacked_convolution(x, kernel, self.stride)
        else:
            x = _convolve(x, kernel, (self.stride,) * 3)
        if self.use_bias:
            x = x + self.param("bias", self.bias_init, (self.features,)).astype(x.dtype)
        return x


class GroupNorm(nn.Module):
    """GroupNorm with the largest number of groups up to `groups` that divides the channels."""

    groups: int = 8

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *space c"]:
        """Normalises each patch by itself, so labelled, unlabelled and mixed patches share no statistics."""
        with jax.numpy_dtype_promotion("standard"):  # Flax keeps the statistics of bfloat16 in float32
            return nn.GroupNorm(num_groups=math.gcd(self.groups, x.shape[-1]), dtype=x.dtype)(x)


def upsample_twice(x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x c"]:
    """Doubles every side by repetition, as a broadcast: its gradient is a sum, not a scatter."""
    b, z, y, x_side, c = x.shape
    tiled = jnp.broadcast_to(x[:, :, None, :, None, :, None], (b, z, 2, y, 2, x_side, 2, c))
    return tiled.reshape(b, 2 * z, 2 * y, 2 * x_side, c)


def space_to_depth(x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x _c"]:
    """Halves every side, the eight voxels of each 2 x 2 x 2 block becoming channels."""
    b, z, y, x_side, c = x.shape
    blocks = x.reshape(b, z // 2, 2, y // 2, 2, x_side // 2, 2, c)
    return blocks.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, z // 2, y // 2, x_side // 2, 8 * c)


def _convolve(x: Array, kernel: Array, strides: Sequence[int]) -> Array:
    spatial = "DHW"[-len(strides) :]
    layout = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    padding = [(side // 2, side // 2) for side in kernel.shape[: len(strides)]]
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)


def _stacked_convolution(
    x: Float[Array, "b z y x c"], kernel: Float[Array, "k k k c d"], stride: int
) -> Float[Array, "b _z _y _x d"]:
    taps, batch, depth = kernel.shape[0], x.shape[0], x.shape[1] // stride
    slices = [_shift_z(x, tap - taps // 2)[:, ::stride] for tap in range(taps)]
    stacked = jnp.concatenate(slices, -1).reshape(batch * depth, *x.shape[2:4], taps * x.shape[-1])
    flat_kernel = jnp.moveaxis(kernel, 0, 2).reshape(*kernel.shape[1:3], -1, kernel.shape[-1])
    out = _convolve(stacked, flat_kernel, (stride, stride))
    return out.reshape(batch, depth, *out.shape[1:])


def _shift_z(x: Float[Array, "b z y x c"], by: int) -> Float[Array, "b z y x c"]:
    # One padding that keeps the size: where devices share the z axis, each asks its neighbour for `by` slices only.
    # Padded first and cut after, the slices would lie on devices otherwise than the volume does, and many would move.
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (-by, by, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)])
