"""The detector of FocalMix (arXiv 2003.09108) from its config: network, anchors and how to apply them."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medssl_jax.core.settings import (
    LARGEST_SIDE,
    LARGEST_WIDTH,
    MANY,
    SWITCH,
    Settings,
    each,
    number,
    one_of,
    whole,
    within,
)
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.prediction import Prediction
from medssl_jax.models.fpn3d import FPN3D
from medssl_jax.models.target import DTYPES


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorSettings(Settings):
    """Sizes of the network."""

    section: ClassVar[str] = "model"
    stem_features: int = within(whole(0, LARGEST_WIDTH))
    features: tuple[int, ...] = within(each(whole(1, LARGEST_WIDTH), most=10))
    blocks: tuple[int, ...] = within(each(whole(1, 1024), most=10))
    pyramid_features: int = within(whole(1, LARGEST_WIDTH))
    head_depth: int = within(whole(0, 1024))
    prior: float = within(number(0, 1, above=True, below=True))
    remat: bool = within(SWITCH)
    dtype: str = within(one_of(DTYPES))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("blocks", len(self.blocks) == len(self.features), "as many as model.features")

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the backbone's stages, in voxels."""
        return tuple(2 ** (stage + 1) for stage in range(len(self.features)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnchorSettings(Settings):
    """Where anchors stand, how large they are, and which of them are nodules."""

    section: ClassVar[str] = "anchors"
    strides: tuple[int, ...] = within(each(whole(1, LARGEST_SIDE)))
    sides_mm: tuple[tuple[float, ...], ...] = within(each(each(number(0, LARGEST_SIDE, above=True), most=MANY)))
    positive_iou: float = within(number(0, 1, above=True))
    ignored_iou: float = within(number(0, 1, above=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("sides_mm", len(self.strides) == len(self.sides_mm), "as many as anchors.strides")
        self.expect("strides", len(set(self.strides)) == len(self.strides), "each stride once")
        self.expect("ignored_iou", self.ignored_iou <= self.positive_iou, "above 0, at most positive_iou")


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
        """Logits and box deltas of patches, their HU normalised to -1 to 1."""
        prediction: Any = self.network.apply({"params": params}, patches)
        return prediction


def make_detector(
    model: DetectorSettings, anchors: AnchorSettings, *, patch_side: int, spacing_mm: float = 1.0
) -> Detector:
    """The detector for patches of one side, in voxels of `spacing_mm`.

    Raises `InputError` where side and strides do not fit.
    """
    levels = tuple(
        AnchorLevel(stride, tuple(side_mm / spacing_mm for side_mm in sides_mm))
        for stride, sides_mm in zip(anchors.strides, anchors.sides_mm, strict=True)
    )
    network = FPN3D(
        levels=levels,
        stem_features=model.stem_features,
        features=model.features,
        blocks=model.blocks,
        pyramid_features=model.pyramid_features,
        head_depth=model.head_depth,
        prior=model.prior,
        remat=model.remat,
        dtype=model.dtype,
    )
    return Detector(network, AnchorGrid(patch_side, levels))
