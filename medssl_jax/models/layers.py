"""The layers of the networks of volumes, and the platform that they are traced for."""

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medssl_jax.models.cpu_convolution import border, convolve_on_cpu

DTYPES = ("auto", "float32", "bfloat16")  # that a network may be told to compute in

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


def computation_dtype(named: str) -> jnp.dtype:
    """The type of a network's activations, by one of `DTYPES`: `auto` is bfloat16 on accelerators, float32 on a CPU.

    Parameters, statistics of norms, and what a network gives are float32 with either.
    """
    if named == "auto":
        named = "float32" if target_platform() == "cpu" else "bfloat16"  # which a CPU is no faster in
    return jnp.dtype(named)


def computes_again(remat: bool) -> bool:
    """True where blocks are computed again in the backward pass: as told, but for a CPU, where nothing is.

    There it costs a tenth of the time and saves no memory: 583 MB with it, 559 without, for two patches of 64^3.
    """
    return remat and target_platform() != "cpu"


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
    """Cubic convolution that keeps the size of its input, or halves it with stride 2.

    With `on_blocks` the input is given as blocks of 2 x 2 x 2 voxels (`space_to_depth`), and so is the output unless
    it is halved: the same function of the same parameters. Few channels at full resolution cost an accelerator the
    memory of many; an eighth of the places with eight times the channels does not.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    use_bias: bool = False
    kernel_init: nn.initializers.Initializer | None = None
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()
    on_blocks: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x _d"]:
        """Convolves; sides must be multiples of the stride."""
        channels = x.shape[-1] // 8 if self.on_blocks else x.shape[-1]
        shape = (*(self.kernel,) * 3, channels, self.features)
        kernel_init = self.kernel_init or he_normal(math.prod(shape[:-1]))
        kernel = self.param("kernel", kernel_init, shape)
        stride = self.stride
        if self.on_blocks:
            kernel, stride = kernel_on_blocks(kernel, stride), 1
        kernel = kernel.astype(x.dtype)
        if self.kernel == 1:
            x = x[:, ::stride, ::stride, ::stride] @ kernel[0, 0, 0]
        elif target_platform() == "cpu":
            x = convolve_on_cpu(x, kernel, (stride, stride))
        else:
            x = _convolve(x, kernel, stride)
        if self.use_bias:
            x = x + self.param("bias", self.bias_init, (self.features,)).astype(x.dtype)
        return x


class GroupNorm(nn.Module):
    """GroupNorm (arXiv 1803.08494) with the largest number of groups up to `groups` that divides the channels.

    Equal to Flax's, which sums within groups: there a row of memory is a few channels. Here each channel is summed over
    space first and only those sums are put into groups, and what is left to do is one product and one sum a number:
    2 to 6 times faster on a CPU; an accelerator finds both moments in one reading, as with Flax's.
    """

    groups: int = 8
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *space c"]:
        """Normalises each patch by itself, so labelled, unlabelled and mixed patches share no statistics.

        Statistics are float32 whatever the type of `x` is.
        """
        scale, bias = ScaleAndBias(x.shape[-1], name="GroupNorm_0")()  # the name that Flax's has in checkpoints
        wide = x.astype(jnp.float32)
        mean = self._over_groups(_mean_over_space(wide))
        variance = self._over_groups(_mean_over_space(wide**2)) - mean**2
        factor = scale * jax.lax.rsqrt(jnp.maximum(variance, 0) + self.epsilon)
        return (wide * factor + (bias - mean * factor)).astype(x.dtype)

    def _over_groups(self, means: Float[Array, "b *ones c"]) -> Float[Array, "b *ones c"]:
        """For each channel the mean of its group's."""
        channels = means.shape[-1]
        groups = math.gcd(self.groups, channels)
        grouped = means.reshape(*means.shape[:-1], groups, channels // groups)
        return jnp.broadcast_to(grouped.mean(-1, keepdims=True), grouped.shape).reshape(means.shape)


class ScaleAndBias(nn.Module):
    """The parameters of a norm: one and zero of each channel at first."""

    channels: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """Both, float32."""
        ones, zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()
        return self.param("scale", ones, (self.channels,)), self.param("bias", zeros, (self.channels,))


def _mean_over_space(x: Float[Array, "b *space c"]) -> Float[Array, "b *ones c"]:
    return x.mean(range(1, x.ndim - 1), keepdims=True)


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


def kernel_on_blocks(kernel: Float[Array, "3 3 3 c d"], stride: int) -> Float[Array, "k k k eight_c _d"]:
    """The kernel that does on blocks of 2 x 2 x 2 voxels what `kernel` does on voxels.

    With stride 1 it leads from blocks to blocks, 3 on a side; with stride 2 from blocks to voxels, 2 on a side.
    """
    axis = _taps_on_blocks(stride)
    on_blocks = jnp.einsum("ziap,yjbq,xkcr,abcde->zyxijkdpqre", axis, axis, axis, kernel)
    return on_blocks.reshape(*on_blocks.shape[:3], 8 * kernel.shape[3], -1)


def _taps_on_blocks(stride: int) -> Float[np.ndarray, "blocks 2 3 places"]:
    """Along one axis, 1 where a tap reads a place of a block for one of the 1 or 2 places of the result."""
    places = 2 // stride
    axis = np.zeros((1 + places, 2, 3, places), np.float32)
    for place in range(places):
        for tap in range(3):
            block, within = divmod(place + tap - 1, 2)
            axis[block + 1, within, tap, place] = 1
    return axis


def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    borders = [border(side) for side in kernel.shape[:3]]
    layout = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride,) * 3, borders, dimension_numbers=layout)
