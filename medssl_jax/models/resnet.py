"""A 3-D residual backbone (He et al., arXiv 1512.03385) with GroupNorm."""

from collections.abc import Sequence

import flax.linen as nn
from jaxtyping import Array, Float

from medssl_jax.models.layers import Conv3D, GroupNorm, computes_again, space_to_depth, target_platform


class ResidualBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions and a shortcut."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> Float[Array, "b _z _y _x features"]:
        """Halves the sides where `stride` is 2."""
        residual = nn.relu(GroupNorm()(Conv3D(self.features, stride=self.stride)(x)))
        residual = GroupNorm()(Conv3D(self.features)(residual))
        if x.shape != residual.shape:
            x = GroupNorm()(Conv3D(self.features, kernel=1, stride=self.stride)(x))
        return nn.relu(x + residual)


class ResNet3D(nn.Module):
    """Feature maps at strides 2, 4, 8, ... of a volume.

    `stem_features` = 0 makes the stem a space-to-depth and a convolution at stride 2; otherwise a convolution of that
    many channels runs at full resolution first, which sees finer detail and costs most of the memory and time.
    With `remat`, blocks are computed again in the backward pass instead of being kept, where `computes_again` says so.
    """

    stem_features: int
    features: Sequence[int]
    blocks: Sequence[int]
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> list[Float[Array, "b _z _y _x _c"]]:
        """One feature map a stage, finest first."""
        if self.stem_features:
            on_blocks = target_platform() != "cpu"  # which has no use for more channels: 1.4 times slower there
            full = Conv3D(self.stem_features, on_blocks=on_blocks)(space_to_depth(x) if on_blocks else x)
            space = (*full.shape[:4], -1) if on_blocks else full.shape[:4]  # voxels of a block: an axis more of space
            full = nn.relu(GroupNorm()(full.reshape(*space, self.stem_features))).reshape(full.shape)
            x = nn.relu(GroupNorm()(Conv3D(self.features[0], stride=2, on_blocks=on_blocks)(full)))
        else:
            x = nn.relu(GroupNorm()(Conv3D(self.features[0])(space_to_depth(x))))
        block = nn.remat(ResidualBlock) if computes_again(self.remat) else ResidualBlock
        maps = []
        for stage, (features, count) in enumerate(zip(self.features, self.blocks, strict=True)):
            for index in range(count):
                downsamples = stage > 0 and index == 0
                x = block(features, 2 if downsamples else 1, name=f"stage{stage}_block{index}")(x)
            maps.append(x)
        return maps
