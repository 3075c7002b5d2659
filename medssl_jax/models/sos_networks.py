"""The networks of SOS (arXiv 2003.05080): low resolution (LRN), high resolution (HRN), and RDMS's policy."""

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import (
    LARGEST_WIDTH,
    SHARE,
    SWITCH,
    TEXT,
    WEIGHT,
    Settings,
    each,
    number,
    one_of,
    whole,
    within,
)
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.metrics.slides.sos_methods import METHODS
from medssl_jax.models.deferral import PERCENTILES
from medssl_jax.models.pretrained import BLOCKS, FEATURES
from medssl_jax.models.resnet2d import ResNet2D
from medssl_jax.models.target import DTYPES, computation_dtype

JOINS = ("add", "concat", "none")
REWARDS = ("relative", "correct")


NETWORKS = ("low", "high", "policy")
_FEATURES, _BLOCKS = each(whole(1, LARGEST_WIDTH)), each(whole(0, 1024))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SosModelSettings(Settings):
    """Sizes of the three networks; a `deviation` of 0: intensities are measured when training starts."""

    section: ClassVar[str] = "model"
    low_features: tuple[int, ...] = within(_FEATURES)
    low_blocks: tuple[int, ...] = within(_BLOCKS)
    low_stem_block: int = within(whole(0, 2**16))
    high_features: tuple[int, ...] = within(_FEATURES)
    high_blocks: tuple[int, ...] = within(_BLOCKS)
    high_stem_block: int = within(whole(0, 2**16))
    policy_features: tuple[int, ...] = within(_FEATURES)
    policy_blocks: tuple[int, ...] = within(_BLOCKS)
    pretrained: str = within(TEXT)
    attention_features: int = within(whole(1, LARGEST_WIDTH))
    intensity_mean: float = within(SHARE)
    intensity_deviation: float = within(SHARE)
    dtype: str = within(one_of(DTYPES), default="float32")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in NETWORKS:
            fits = len(self.blocks_of(name)) == len(self.features_of(name))
            self.expect(f"{name}_blocks", fits, f"as many as model.{name}_features")
        self.expect(
            "pretrained",
            not self.pretrained or self._is_resnet18(),
            f"nothing, or features {FEATURES} and blocks {BLOCKS} of all three networks, with stem_block 0",
        )

    def features_of(self, network: str) -> tuple[int, ...]:
        """Channels of each stage."""
        features: tuple[int, ...] = getattr(self, f"{network}_features")
        return features

    def blocks_of(self, network: str) -> tuple[int, ...]:
        """Residual blocks of each stage."""
        blocks: tuple[int, ...] = getattr(self, f"{network}_blocks")
        return blocks

    def _is_resnet18(self) -> bool:
        sizes = {(self.features_of(name), self.blocks_of(name)) for name in NETWORKS}
        return sizes == {(FEATURES, BLOCKS)} and not self.low_stem_block and not self.high_stem_block


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """The parts of a method: its networks, how they are joined, and what they learn."""

    section: ClassVar[str] = "method"
    name: str = within(one_of(METHODS))
    use_low: bool = within(SWITCH)
    use_high: bool = within(SWITCH)
    use_policy: bool = within(SWITCH)
    use_deferral: bool = within(SWITCH)
    join: str = within(one_of(JOINS))
    stop_feature: bool = within(SWITCH)
    stop_paradoxical_low: bool = within(SWITCH)
    low_weight: float = within(WEIGHT)
    high_weight: float = within(WEIGHT)
    paradoxical_weight: float = within(WEIGHT)
    hesitant_weight: float = within(WEIGHT)
    hurried_weight: float = within(WEIGHT)
    c: float = within(SHARE)
    eps: float = within(SHARE)
    policy_weight: float = within(WEIGHT)
    entropy_weight: float = within(WEIGHT)
    even_weight: float = within(WEIGHT)
    reward: str = within(one_of(REWARDS))
    ask_cost: float = within(WEIGHT)
    budget: float = within(number(0, 1, above=True))
    budget_rate: float = within(WEIGHT)
    gatekeeper_share: float = within(number(0, 1, below=True))
    gatekeeper_alpha: float = within(number(0, 1, above=True, below=True))
    baseline_decay: float = within(number(0, 1, below=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("use_low", self.use_low or self.use_high, "True where method.use_high is False")
        self.expect("use_policy", not self.use_policy or (self.use_low and self.use_high), "False without both")
        self.expect("use_deferral", not self.use_deferral or (self.use_low and self.use_high), "False without both")
        self.expect("use_deferral", not (self.use_deferral and self.use_policy), "False beside a policy")
        self.expect("gatekeeper_share", self.use_low or not self.gatekeeper_share, "0 where method.use_low is False")
        self.expect("join", self.use_low or self.join == "none", "none where method.use_low is False")

    @property
    def fits_after_training(self) -> bool:
        """True where the last step is followed by a fit to the validation slides, of whom the HRN is asked about."""
        return self.use_deferral or (self.use_policy and self.budget < 1)


class Intensities(NamedTuple):
    """Mean and standard deviation of pixels of a data set, on a scale where white is 1."""

    mean: float
    deviation: float


class LowOutput(NamedTuple):
    """The logits of slides by the LRN, and the feature v that the HRN may build on."""

    logits: Float[Array, "b k"]
    feature: Float[Array, "b d"]


class HighOutput(NamedTuple):
    """The logits of slides by the HRN, and the attention it paid to each patch."""

    logits: Float[Array, "b k"]
    attention: Float[Array, "b n"]


class Lrn(nn.Module):
    """Classifies low-resolution images, whose pixels are normalised grey levels."""

    backbone: ResNet2D
    classes: int

    @nn.compact
    def __call__(self, images: Float[Array, "b s s 1"]) -> LowOutput:
        """Logits from the backbone's feature, which is handed on as well."""
        feature = self.backbone(images)
        return LowOutput(nn.Dense(self.classes)(feature), feature)


class GatedAttention(nn.Module):
    """Gated attention pooling over the patches of a slide (Ilse et al., arXiv 1802.04712, equation 9)."""

    features: int

    @nn.compact
    def __call__(
        self, patches: Float[Array, "b n d"], mask: Bool[Array, "b n"]
    ) -> tuple[Float[Array, "b d"], Float[Array, "b n"]]:
        """The weighted mean and its weights; patches that are not in the mask weigh nothing, and none at all pool to 0.

        No order of the patches, nor any number of masked ones, changes the result.
        """
        content = nn.tanh(nn.Dense(self.features, name="content")(patches))
        gate = nn.sigmoid(nn.Dense(self.features, name="gate")(patches))
        scores = nn.Dense(1, use_bias=False, name="score")(content * gate)[..., 0]
        # A finite floor: a softmax over infinities alone has no value and no gradient.
        attention = nn.softmax(jnp.where(mask, scores, jnp.finfo(scores.dtype).min)) * mask.astype(scores.dtype)
        return jnp.einsum("bn,bnd->bd", attention, patches), attention


class Hrn(nn.Module):
    """Classifies slides by the features (no pixels) of their patches, on top of the LRN's feature v.

    `join` is how: `add` is the residual connection h = v + W pool(u), `concat` puts both side by side, `none` leaves v
    out.
    """

    classes: int
    features: int
    attention_features: int
    join: str

    @nn.compact
    def __call__(
        self, patches: Float[Array, "b n d"], mask: Bool[Array, "b n"], v: Float[Array, "b features"] | None
    ) -> HighOutput:
        """Logits and attention; `v` is not looked at where nothing is joined."""
        pooled, attention = GatedAttention(self.attention_features)(patches, mask)
        joined = nn.Dense(self.features, use_bias=False, name="residual")(pooled)
        if self.join != "none":
            assert v is not None
            joined = v + joined if self.join == "add" else jnp.concatenate([v, joined], -1)
        return HighOutput(nn.Dense(self.classes)(joined), attention)


class Policy(nn.Module):
    """The logit of asking the HRN, from the normalised grey levels of the low-resolution image alone (RDMS)."""

    backbone: ResNet2D

    @nn.compact
    def __call__(self, images: Float[Array, "b s s 1"]) -> Float[Array, " b"]:
        """Above 0: ask."""
        return nn.Dense(1)(self.backbone(images))[..., 0]


@dataclasses.dataclass(frozen=True)
class SosNetworks:
    """The networks that a method has, as pure functions of `params`, a dict with the keys `low`, `high`, `policy`.

    Where the method `defers`, `params` also has `deferral`, the fields of a `DeferralHead`: 0 until training ends.

    Images are uint8 grey levels; the same constants normalise all of them, so that brightness is kept. Backbones
    compute in `dtype`; their features, and all that is made of them, are float32.
    """

    classes: int
    low_side: int
    patch_side: int
    intensities: Intensities
    dtype: str
    lrn: Lrn | None
    encoder: ResNet2D | None
    hrn: Hrn | None
    policy_network: Policy | None
    defers: bool = False

    def init(self, key: Array) -> dict[str, Any]:
        """Fresh parameters."""
        keys = dict(zip(("low", "encoder", "head", "policy"), jax.random.split(key, 4), strict=True))
        image = jnp.zeros((1, self.low_side, self.low_side, 1))
        params: dict[str, Any] = {}
        if self.lrn is not None:
            params["low"] = _init(self.lrn, keys["low"], image)
        if self.encoder is not None and self.hrn is not None:
            patch = jnp.zeros((1, self.patch_side, self.patch_side, 1))
            patches = jnp.zeros((1, 1, self.encoder.features[-1]))
            v = jnp.zeros((1, self.hrn.features))
            params["high"] = {
                "encoder": _init(self.encoder, keys["encoder"], patch),
                "head": _init(self.hrn, keys["head"], patches, jnp.ones((1, 1), bool), v),
            }
        if self.policy_network is not None:
            params["policy"] = _init(self.policy_network, keys["policy"], image)
        if self.defers:
            assert self.lrn is not None
            kernel, bias = jnp.zeros(self.lrn.backbone.features[-1]), jnp.zeros(())
            params["deferral"] = {"kernel": kernel, "bias": bias, "percentiles": jnp.zeros(PERCENTILES)}
        return params

    def with_backbone(self, params: Any, backbone: Any) -> dict[str, Any]:
        """`params` with all backbones replaced; what is on top of them stays."""
        replaced = dict(params)
        for name in params.keys() & {"low", "policy"}:
            replaced[name] = params[name] | {"backbone": backbone}
        if "high" in params:
            replaced["high"] = params["high"] | {"encoder": backbone}
        return replaced

    def low(self, params: Any, low_resolution: UInt8[Array, "b s s"]) -> LowOutput:
        """The LRN on low-resolution images."""
        assert self.lrn is not None
        output: Any = self.lrn.apply({"params": params["low"]}, self._normalise(low_resolution))
        return output

    def relevance(self, params: Any, low_resolution: UInt8[Array, "b s s"], grid: int) -> Float[Array, "b patches"]:
        """How much each of `grid` x `grid` patches, row by row, speaks for the class that the LRN gives the slide.

        Class activation mapping (Zhou et al., arXiv 1512.04150, equation 2) on the LRN's last feature map, linear
        between its cells.
        """
        assert self.lrn is not None
        images, own = self._normalise(low_resolution), params["low"]
        backbone = self.lrn.backbone
        features: Any = backbone.apply({"params": own["backbone"]}, images, method=backbone.feature_map)
        maps = features.astype(jnp.float32) @ own["Dense_0"]["kernel"]
        logits = maps.mean((1, 2)) + own["Dense_0"]["bias"]
        of_class = jnp.take_along_axis(maps, logits.argmax(-1)[:, None, None, None], axis=-1)[..., 0]
        patches = jax.image.resize(of_class, (len(of_class), grid, grid), "linear")
        return patches.reshape(len(of_class), grid * grid)

    def encode(self, params: Any, patches: UInt8[Array, "n p p"]) -> Float[Array, "n d"]:
        """The HRN's feature of each patch, which depends on no other."""
        assert self.encoder is not None
        features: Any = self.encoder.apply({"params": params["high"]["encoder"]}, self._normalise(patches))
        return features

    def high(
        self, params: Any, features: Float[Array, "b n d"], mask: Bool[Array, "b n"], v: Float[Array, "b _d"] | None
    ) -> HighOutput:
        """The rest of the HRN on the features of patches, of which `mask` tells the real ones."""
        assert self.hrn is not None
        output: Any = self.hrn.apply({"params": params["high"]["head"]}, features, mask, v)
        return output

    def policy(self, params: Any, low_resolution: UInt8[Array, "b s s"]) -> Float[Array, " b"]:
        """The logit of asking the HRN."""
        assert self.policy_network is not None
        logits: Any = self.policy_network.apply({"params": params["policy"]}, self._normalise(low_resolution))
        return logits

    def shift_policy(self, params: Any, *, by: float) -> dict[str, Any]:
        """`params` with the policy's logit of every image higher by that much."""
        head = params["policy"]["Dense_0"]
        return {**params, "policy": {**params["policy"], "Dense_0": {**head, "bias": head["bias"] + by}}}

    def foretold_gain(self, params: Any, v: Float[Array, "b d"]) -> Float[Array, " b"]:
        """What asking the HRN is foretold to gain: the expectation of 1[HRN right] - 1[LRN right]."""
        gain: Any = v @ params["deferral"]["kernel"] + params["deferral"]["bias"]
        return gain

    def _normalise(self, grey_levels: UInt8[Array, "*n"]) -> Float[Array, "*n 1"]:
        scale = 1 / (255 * self.intensities.deviation)
        normalised = grey_levels.astype(jnp.float32) * scale - self.intensities.mean / self.intensities.deviation
        return normalised.astype(computation_dtype(self.dtype))[..., None]


def make_networks(
    model: SosModelSettings,
    method: MethodSettings,
    layout: SlideLayout,
    *,
    classes: int = 4,
    measured: Intensities | None = None,
) -> SosNetworks:
    """The networks of a method; intensities are those of the `model`, where it has none, those `measured`.

    Raises `InputError` where sides and stems do not fit, or there are no intensities.
    """
    stems = {"low": model.low_stem_block, "high": model.high_stem_block, "policy": model.low_stem_block}
    for name, side in (("low", layout.low_side), ("high", layout.patch_side)):
        fits = not stems[name] or side % stems[name] == 0
        model.expect(f"{name}_stem_block", fits, f"a divisor of the image side {side}, or 0")
    model.expect(
        "intensity_deviation",
        model.intensity_deviation > 0 or measured is not None,
        "more than 0: measure the training slides first, as a training run does",
    )
    own = Intensities(model.intensity_mean, model.intensity_deviation)
    low, high, policy = (
        ResNet2D(model.features_of(name), model.blocks_of(name), stems[name], not model.pretrained) for name in NETWORKS
    )
    return SosNetworks(
        classes=classes,
        low_side=layout.low_side,
        patch_side=layout.patch_side,
        intensities=own if own.deviation > 0 or measured is None else measured,
        dtype=model.dtype,
        lrn=Lrn(low, classes) if method.use_low else None,
        encoder=high if method.use_high else None,
        hrn=Hrn(classes, model.low_features[-1], model.attention_features, method.join) if method.use_high else None,
        policy_network=Policy(policy) if method.use_policy else None,
        defers=method.use_deferral,
    )


def measure_intensities(images: Iterable[UInt8[np.ndarray, "s s"]]) -> Intensities:
    """Mean and deviation over all pixels of images of one size, exactly. Raises `InputError` where all are one grey."""
    pixels = np.zeros(256, np.int64)
    for image in images:
        pixels += np.bincount(image.ravel(), minlength=256)
    grey = np.arange(256) / 255
    share = pixels / max(1, pixels.sum())
    mean = float(share @ grey)
    deviation = float(np.sqrt(share @ (grey - mean) ** 2))
    if deviation == 0:
        raise InputError("the training slides have one grey level only: check the data")
    return Intensities(mean, deviation)


def _init(module: nn.Module, key: Array, *inputs: Array) -> Any:
    return jax.jit(module.init)(key, *inputs)["params"]
