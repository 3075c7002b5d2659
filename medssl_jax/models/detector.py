"""The detector of a config: network, anchors and how to apply them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float

from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.prediction import Prediction
from medssl_jax.models.fpn3d import FPN3D


@dataclasses.dataclass(frozen=True)
class Detector:
    """A network and the anchors it speaks of."""

    network: FPN3D
    grid: AnchorGrid

    def init(self, key: Array) -> Any:
        """Fresh parameters."""
        side = self.grid.patch_side
        return jax.jit(self.network.init)(key, jnp.zeros((1, side, side, side, 1)))["params"]

    def predict(self, params: Any, patches: Float[Array, "b s s s 1"]) -> Prediction:
        """Logits and box deltas of normalised patches."""
        prediction: Any = self.network.apply({"params": params}, patches)
        return prediction


def make_detector(config: ml_collections.ConfigDict) -> Detector:
    """Reads `patches.side`, `anchors` and `model`. Raises `InputError` where side and strides do not fit."""
    anchors, model = config.anchors, config.model
    levels = tuple(
        AnchorLevel(stride, tuple(sides)) for stride, sides in zip(anchors.strides, anchors.sides_mm, strict=True)
    )
    network = FPN3D(
        levels=levels,
        stem_features=model.stem_features,
        features=tuple(model.features),
        blocks=tuple(model.blocks),
        pyramid_features=model.pyramid_features,
        head_depth=model.head_depth,
        prior=model.prior,
        remat=model.remat,
        dtype=jnp.dtype(model.dtype),
    )
    return Detector(network, AnchorGrid(config.patches.side, levels))
