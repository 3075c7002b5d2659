"""The detector: a 3-D feature pyramid network (Lin et al., arXiv 1612.03144); all levels share the towers."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medssl_jax.detection.anchors import AnchorLevel
from medssl_jax.detection.prediction import Prediction
from medssl_jax.models.layers import Conv3D, GroupNorm, draw_flat, upsample_twice
from medssl_jax.models.resnet import ResNet3D
from medssl_jax.models.target import computation_dtype


class Tower(nn.Module):
    """The convolutions of one branch of the head, shared by all levels."""

    features: int
    depth: int

    @nn.compact
    def __call__(self, x: Float[Array, "b z y x c"]) -> Float[Array, "b z y x features"]:
        """Keeps the size."""
        for _ in range(self.depth):
            x = nn.relu(GroupNorm()(Conv3D(self.features)(x)))
        return x


class FPN3D(nn.Module):
    """Predicts a logit and box deltas for every anchor of a patch, in the order of `AnchorGrid`.

    Level strides must be powers of 2 up to that of the last backbone stage. `prior` is the probability of a nodule that
    every anchor starts from (focal loss, arXiv 1708.02002).
    """

    levels: Sequence[AnchorLevel]
    stem_features: int
    features: Sequence[int]
    blocks: Sequence[int]
    pyramid_features: int
    head_depth: int
    prior: float
    remat: bool = False
    dtype: str = "auto"

    @nn.compact
    def __call__(self, patches: Float[Array, "b z y x 1"]) -> Prediction:
        """Logits `(b, anchors)` and deltas `(b, anchors, 4)`, float32 whatever `dtype` the layers before compute in.

        Patches are of 1 mm a voxel, their HU normalised to -1 to 1; sides are multiples of the last stage's stride.
        """
        dtype = computation_dtype(self.dtype)
        backbone = ResNet3D(self.stem_features, self.features, self.blocks, self.remat)
        stages = {2 ** (stage + 1): x for stage, x in enumerate(backbone(patches.astype(dtype)))}
        classify = Tower(self.pyramid_features, self.head_depth, name="classify")
        locate = Tower(self.pyramid_features, self.head_depth, name="locate")
        small = draw_flat(nn.initializers.normal(0.01))
        prior_logit = nn.initializers.constant(-math.log((1 - self.prior) / self.prior))
        coarser = None
        predictions = {}
        finest = min(level.stride for level in self.levels)
        for stride in sorted((stride for stride in stages if stride >= finest), reverse=True):
            lateral = Conv3D(self.pyramid_features, kernel=1, use_bias=True, name=f"lateral{stride}")(stages[stride])
            merged = lateral if coarser is None else lateral + upsample_twice(coarser)
            coarser = merged
            for level in self.levels:
                if level.stride != stride:
                    continue
                smooth = Conv3D(self.pyramid_features, use_bias=True, name=f"smooth{stride}")(merged)
                sides = len(level.sides_voxel)
                to_logits = Conv3D(sides, 1, 1, True, small, prior_logit, name=f"logits{stride}")
                # The name is part of the seed of its initial values: with another, every run would end elsewhere.
                to_deltas = Conv3D(4 * sides, 1, 1, True, small, name=f"codes{stride}")
                # Float32: near the logit of a prior of 1 %, numbers of bfloat16 are 1/32 apart.
                classified, located = (tower(smooth).astype(jnp.float32) for tower in (classify, locate))
                logits, deltas = to_logits(classified), to_deltas(located)
                rows = patches.shape[0]
                predictions[stride] = Prediction(logits.reshape(rows, -1), deltas.reshape(rows, -1, 4))
        ordered = [predictions[level.stride] for level in self.levels]
        return Prediction(*(jnp.concatenate(parts, 1) for parts in zip(*ordered, strict=True)))
