"""A 3-D residual backbone (He et al., arXiv 1512.03385) with GroupNorm."""

import functools
from collections.abc import Sequence

import flax.linen as nn
from jaxtyping import Array, Float

from medssl_jax.models.layers import Conv3D, GroupNorm
from medssl_jax.models.target import computes_again, target_platform
from medssl_jax.models.voxel_blocks import VOXEL, Block, depth_to_space, space_to_depth


class ResidualBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions and a shortcut, from blocks of voxels to blocks of voxels."""

    features: int
    stride: int = 1
    given: Block = VOXEL
    made: Block = VOXEL

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x _d"]:
        """Halves the sides where `stride` is 2."""
        given, made = self.given, self.made
        residual = Conv3D(self.features, stride=self.stride, given=given, made=made)(x)
        residual = nn.relu(GroupNorm(block=made)(residual))
        residual = GroupNorm(block=made)(Conv3D(self.features, given=made, made=made)(residual))
        if x.shape != residual.shape:
            x = GroupNorm(block=made)(Conv3D(self.features, 1, self.stride, given=given, made=made)(x))
        return nn.relu(x + residual)


class ResNet3D(nn.Module):
    """Feature maps at strides 2, 4, 8, ... of a volume.

    `stem_features` = 0 makes the stem a space-to-depth and a convolution at stride 2; otherwise a convolution of that
    many channels runs at full resolution first, which sees finer detail and costs most of the memory and time.
    With `remat`, stem and blocks are computed again in the backward pass instead of being kept, where `computes_again`
    says so.
    """

    stem_features: int
    features: Sequence[int]
    blocks: Sequence[int]
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> list[Float[Array, "b _z _y _x _c"]]:
        """One feature map a stage, finest first."""
        full, half = _blocks_of_voxels(stages=len(self.features))
        if self.stem_features:
            stem = functools.partial(_stem, full=full)
            x = (nn.remat(stem) if computes_again(self.remat) else stem)(self, space_to_depth(x, full))
            x = Conv3D(self.features[0], stride=2, given=full, made=half)(x)
        else:
            x = Conv3D(self.features[0], given=half, made=half)(space_to_depth(space_to_depth(x), half))
        x = nn.relu(GroupNorm(block=half)(x))
        residual_block = nn.remat(ResidualBlock) if computes_again(self.remat) else ResidualBlock
        maps = []
        given = half
        for stage, (features, count) in enumerate(zip(self.features, self.blocks, strict=True)):
            made = VOXEL if stage else half
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                x = residual_block(features, stride, given, made, name=f"stage{stage}_block{index}")(x)
                given = made
            maps.append(depth_to_space(x, made))
        return maps


def _stem(network: ResNet3D, x: Float[Array, "b z y x c"], *, full: Block) -> Float[Array, "b z y x _c"]:
    """The layers at full resolution, whose results are the largest."""
    return nn.relu(GroupNorm(block=full)(Conv3D(network.stem_features, given=full, made=full)(x)))


def _blocks_of_voxels(stages: int) -> tuple[Block, Block]:
    """The blocks that volumes come as at full and at half resolution; from the second stage on voxels come one by one.

    A TPU pads channels to 128 and multiplies what it padded: few of them at full resolution cost it the memory and time
    of many. Stem and two stages of luna_25 compiled for a v5e, gradient of one patch of 160^3 in bfloat16: 12.3 GB of
    traffic, 41.2 with blocks of 2 x 2 x 2 in the stem alone, and less than half the cycles by XLA's estimate, for four
    times as many multiplications. A GPU pads less, and a CPU, which pads nothing, is 1.4 times slower with blocks.
    """
    if target_platform() == "cpu":
        return VOXEL, VOXEL
    if target_platform() == "tpu" and stages > 1:  # so that sides are multiples of 4
        return (2, 4, 4), (1, 2, 2)
    return (2, 2, 2), VOXEL
