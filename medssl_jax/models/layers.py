"""The layers of the networks of volumes."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medssl_jax.models.cpu_convolution import border, convolve_on_cpu
from medssl_jax.models.group_norm import normalise_groups
from medssl_jax.models.target import target_platform
from medssl_jax.models.voxel_blocks import VOXEL, Block, kernel_on_blocks


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

    Input may be given as blocks of voxels (`voxel_blocks.py`), and output made as such: the same function of the same
    parameters.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    use_bias: bool = False
    kernel_init: nn.initializers.Initializer | None = None
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()
    given: Block = VOXEL
    made: Block = VOXEL

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x _d"]:
        """Convolves; sides must be multiples of the stride."""
        shape = (*(self.kernel,) * 3, x.shape[-1] // math.prod(self.given), self.features)
        kernel_init = self.kernel_init or he_normal(math.prod(shape[:-1]))
        kernel = self.param("kernel", kernel_init, shape)
        z, y, x_stride = (self.stride * made // given for given, made in zip(self.given, self.made, strict=True))
        if (self.given, self.made) != (VOXEL, VOXEL):
            kernel = kernel_on_blocks(kernel, self.stride, self.given, self.made)
        kernel = kernel.astype(x.dtype)
        if self.kernel == 1:
            x = x[:, ::z, ::y, ::x_stride] @ kernel[0, 0, 0]
        elif target_platform() == "cpu" and y == x_stride:
            x = convolve_on_cpu(x, kernel, (z, y))
        else:
            x = _convolve(x, kernel, (z, y, x_stride))
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,))
            x = x + jnp.tile(bias, math.prod(self.made)).astype(x.dtype)
        return x


class GroupNorm(nn.Module):
    """GroupNorm (arXiv 1803.08494) with the largest number of groups up to `groups` that divides the channels.

    Channels may be those of blocks of `block` voxels, side by side, which are normalised as in a volume of voxels.
    """

    groups: int = 8
    epsilon: float = 1e-6
    block: Block = VOXEL

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *space c"]:
        """Normalises each patch by itself, so labelled, unlabelled and mixed patches share no statistics.

        Statistics are float32 whatever the type of `x` is.
        """
        voxels = math.prod(self.block)
        channels = x.shape[-1] // voxels
        parameters = ScaleAndBias(channels, name="GroupNorm_0")  # the name that Flax's has in checkpoints
        scale, bias = (jnp.tile(each, voxels) for each in parameters())
        return normalise_groups(x, scale, bias, (voxels, math.gcd(self.groups, channels)), self.epsilon)


class ScaleAndBias(nn.Module):
    """The parameters of a norm: one and zero of each channel at first."""

    channels: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """Both, float32."""
        ones, zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()
        return self.param("scale", ones, (self.channels,)), self.param("bias", zeros, (self.channels,))


def upsample_twice(x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x c"]:
    """Doubles every side by repetition, as a broadcast: its gradient is a sum, not a scatter."""
    b, z, y, x_side, c = x.shape
    tiled = jnp.broadcast_to(x[:, :, None, :, None, :, None], (b, z, 2, y, 2, x_side, 2, c))
    return tiled.reshape(b, 2 * z, 2 * y, 2 * x_side, c)


def _convolve(x: Array, kernel: Array, strides: Sequence[int]) -> Array:
    borders = [border(side) for side in kernel.shape[:3]]
    layout = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(x, kernel, strides, borders, dimension_numbers=layout)
