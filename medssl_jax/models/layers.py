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

Block = tuple[int, int, int]  # the sides of a block of voxels that lie in one place, side by side as its channels
VOXEL: Block = (1, 1, 1)
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

    Input may be given as blocks of voxels (`space_to_depth`), and output made as such: the same function of the same
    parameters. An accelerator may hold few channels of many places in the memory of many channels; a few voxels in one
    place it does not.
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

    Equal to Flax's, which sums within groups: there a row of memory is a few channels. Here each channel is summed over
    space first and only those sums are put into groups, and what is left to do is one product and one sum a number:
    2 to 6 times faster on a CPU; an accelerator finds both moments in one reading, as with Flax's.
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
        parameters = ScaleAndBias(x.shape[-1] // voxels, name="GroupNorm_0")  # the name that Flax's has in checkpoints
        scale, bias = (jnp.tile(each, voxels) for each in parameters())
        wide = x.astype(jnp.float32)
        mean = self._over_groups(_mean_over_space(wide))
        variance = self._over_groups(_mean_over_space(wide**2)) - mean**2
        factor = scale * jax.lax.rsqrt(jnp.maximum(variance, 0) + self.epsilon)
        return (wide * factor + (bias - mean * factor)).astype(x.dtype)

    def _over_groups(self, means: Float[Array, "b *ones c"]) -> Float[Array, "b *ones c"]:
        """For each channel the mean of its group's, of all voxels of a block."""
        voxels = math.prod(self.block)
        groups = math.gcd(self.groups, means.shape[-1] // voxels)
        grouped = means.reshape(*means.shape[:-1], voxels, groups, -1)
        return jnp.broadcast_to(grouped.mean((-3, -1), keepdims=True), grouped.shape).reshape(means.shape)


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


def space_to_depth(x: Float[Array, "b z y x c"], block: Block = (2, 2, 2)) -> Float[Array, "b _z _y _x _c"]:
    """Divides the sides by those of `block`, the voxels of each block becoming channels."""
    k, j, i = block
    b, z, y, x_side, c = x.shape
    if target_platform() == "tpu" and c == 1 and i > 1:
        return _rows_to_depth(x.reshape(b, z // k, k, y // j, j, x_side), i)
    blocks = x.reshape(b, z // k, k, y // j, j, x_side // i, i, c)
    return blocks.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, z // k, y // j, x_side // i, k * j * i * c)


def _rows_to_depth(rows: Float[Array, "b z k y j x"], i: int) -> Float[Array, "b z y _x _c"]:
    """`space_to_depth` of rows of voxels, exactly: each row times a matrix of zeros and ones.

    A TPU would divide it otherwise by writing the volume out with each two voxels padded to 128.
    """
    b, z, k, y, j, side = rows.shape
    place = np.eye(side, dtype=rows.dtype).reshape(side, side // i, i)
    divided = jnp.einsum("bzkyjx,xpi->bzykjip", rows, place, precision="highest")
    return divided.reshape(b, z, y, k * j * i, side // i).swapaxes(-1, -2)


def depth_to_space(x: Float[Array, "b z y x c"], block: Block) -> Float[Array, "b _z _y _x _c"]:
    """The volume whose `space_to_depth` is `x`."""
    k, j, i = block
    b, z, y, x_side, _ = x.shape
    voxels = x.reshape(b, z, y, x_side, k, j, i, -1).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return voxels.reshape(b, k * z, j * y, i * x_side, -1)


def kernel_on_blocks(
    kernel: Float[Array, "k k k c d"], stride: int, given: Block, made: Block
) -> Float[Array, "_k _k _k _c _d"]:
    """The kernel that leads from blocks of voxels to blocks of voxels as `kernel` does from voxels to voxels."""
    z, y, x = (_taps_on_blocks(len(kernel), stride, *sides) for sides in zip(given, made, strict=True))
    on_blocks = jnp.einsum("ziap,yjbq,xkcr,abcde->zyxijkdpqre", z, y, x, kernel)
    channels, features = (math.prod(on_blocks.shape[places]) for places in (slice(3, 7), slice(7, 11)))
    return on_blocks.reshape(*on_blocks.shape[:3], channels, features)


def _taps_on_blocks(taps: int, stride: int, given: int, made: int) -> Float[np.ndarray, "_k {given} {taps} {made}"]:
    """Along one axis, 1 where a tap reads a place of a given block for one of the places of a block that is made."""
    read = [[divmod(stride * place + tap - taps // 2, given) for tap in range(taps)] for place in range(made)]
    first, last = read[0][0][0], read[-1][-1][0]
    axis = np.zeros((1 + last - first, given, taps, made), np.float32)
    for place, tap in np.ndindex(made, taps):
        block, within = read[place][tap]
        axis[block - first, within, tap, place] = 1
    return axis


def _convolve(x: Array, kernel: Array, strides: Sequence[int]) -> Array:
    borders = [border(side) for side in kernel.shape[:3]]
    layout = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(x, kernel, strides, borders, dimension_numbers=layout)
