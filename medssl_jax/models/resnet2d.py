"""A 2-D residual network (He et al., arXiv 1512.03385) for images whose brightness means something."""

import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medssl_jax.models.cpu_convolution import border, convolve_on_cpu
from medssl_jax.models.layers import GroupNorm, he_normal
from medssl_jax.models.target import target_platform


class Conv2D(nn.Module):
    """Square convolution of odd side that keeps the size of its input, or halves it, rounding up, with stride 2."""

    features: int
    kernel: int = 3
    stride: int = 1
    use_bias: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b y x c"]) -> Float[Array, "b _y _x features"]:
        """Convolves; the border is padded with zeros."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = jnp.asarray(self.param("kernel", he_normal(math.prod(shape[:-1])), shape), x.dtype)
        if self.kernel == 1:
            x = x[:, :: self.stride, :: self.stride] @ kernel[0, 0]
        elif target_platform() == "cpu":
            x = convolve_on_cpu(x[None], kernel[None], (1, self.stride))[0]  # images as the slices of one volume
        else:
            x = _convolve(x, kernel, self.stride)
        if self.use_bias:
            x = x + self.param("bias", nn.initializers.zeros_init(), (self.features,)).astype(x.dtype)
        return x


class ResidualBlock2D(nn.Module):
    """Two 3 x 3 convolutions and a shortcut.

    Only the residual is normalised: GroupNorm forgets how bright an image is, the path of the shortcuts does not.
    Without `normalise` every convolution has a bias instead: what frozen BatchNorm amounts to.
    """

    features: int
    stride: int
    normalise: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b y x c"]) -> Float[Array, "b _y _x features"]:
        """Halves the sides where `stride` is 2."""
        use_bias = not self.normalise
        residual = nn.relu(self._norm(Conv2D(self.features, stride=self.stride, use_bias=use_bias)(x)))
        residual = self._norm(Conv2D(self.features, use_bias=use_bias)(residual))
        if x.shape != residual.shape:
            x = Conv2D(self.features, kernel=1, stride=self.stride, use_bias=use_bias)(x)
        return nn.relu(x + residual)

    def _norm(self, x: Float[Array, "b y x c"]) -> Float[Array, "b y x c"]:
        return GroupNorm()(x) if self.normalise else x


class ResNet2D(nn.Module):
    """One feature vector an image: ResNet-18 with features (64, 128, 256, 512) and 2 blocks a stage.

    `stem_block` = 0 is ResNet's stem, 7 x 7 at stride 2 and a maximum over 3 x 3 at stride 2. Otherwise blocks of that
    many pixels a side become channels of a 3 x 3 convolution: for small networks, whose time on a CPU is that of their
    first layers.
    """

    features: Sequence[int]
    blocks: Sequence[int]
    stem_block: int = 0
    normalise: bool = True

    def __call__(self, x: Float[Array, "b y x c"]) -> Float[Array, "b features"]:
        """The mean of the last feature map over the image, float32; sides must be multiples of `stem_block`."""
        return self.feature_map(x).mean((1, 2), dtype=jnp.float32)

    @nn.compact
    def feature_map(self, x: Float[Array, "b y x c"]) -> Float[Array, "b _y _x features"]:
        """The last feature map."""
        if self.stem_block:
            x = nn.relu(Conv2D(self.features[0], use_bias=True, name="stem")(space_to_depth_2d(x, self.stem_block)))
        else:
            x = halve_by_maximum(nn.relu(Conv2D(self.features[0], 7, 2, use_bias=True, name="stem")(x)))
        for stage, (features, count) in enumerate(zip(self.features, self.blocks, strict=True)):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                x = ResidualBlock2D(features, stride, self.normalise, name=f"stage{stage}_block{index}")(x)
        return x


def space_to_depth_2d(x: Float[Array, "b y x c"], block: int) -> Float[Array, "b _y _x _c"]:
    """Divides both sides by `block`, the pixels of each block becoming channels."""
    b, y, x_side, c = x.shape
    blocks = x.reshape(b, y // block, block, x_side // block, block, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, y // block, x_side // block, block * block * c)


def halve_by_maximum(x: Float[Array, "b y x c"]) -> Float[Array, "b _y _x c"]:
    """Maximum over 3 x 3 at stride 2, as maxima of shifted images: a pooling's gradient is not deterministic on GPUs.

    For x of at least 0, as after a rectifier: the border counts as 0.
    """
    for axis in (1, 2):
        border = [(0, 0)] * x.ndim
        border[axis] = (1, 1)
        padded = jnp.pad(x, border)
        shifted = [
            jax.lax.slice_in_dim(padded, first, first + x.shape[axis], stride=2, axis=axis) for first in range(3)
        ]
        x = functools.reduce(jnp.maximum, shifted)
    return x


def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    borders = [border(side) for side in kernel.shape[:2]]
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), borders, dimension_numbers=layout)
