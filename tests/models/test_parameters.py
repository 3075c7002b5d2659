"""Names and shapes that checkpoints hold on to: where one changes, no older checkpoint can be read."""

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from experiments.configs import sos
from medssl_jax.core.settings import settings_from
from medssl_jax.detection.anchors import AnchorLevel
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.models.fpn3d import FPN3D
from medssl_jax.models.sos_networks import MethodSettings, SosModelSettings, make_networks

RESIDUAL_BLOCK = {
    "stage0_block0.Conv{d}D_0.kernel": (..., 4, 4),
    "stage0_block0.Conv{d}D_1.kernel": (..., 4, 4),
    "stage1_block0.Conv{d}D_0.kernel": (..., 4, 6),
    "stage1_block0.Conv{d}D_1.kernel": (..., 6, 6),
}


def shapes(parameters):
    """All but those of GroupNorm, which are two a norm; the number of norms."""
    leaves = {name: leaf.shape for name, leaf in flatten_dict(parameters, sep=".").items()}
    others = {name: shape for name, shape in leaves.items() if "GroupNorm" not in name}
    return others, (len(leaves) - len(others)) // 2


def blocks(prefix, dimensions):
    """Of two stages with a block each."""
    cube = (3,) * dimensions
    found = {f"{prefix}.{name.format(d=dimensions)}": (*cube, *shape[1:]) for name, shape in RESIDUAL_BLOCK.items()}
    return found | {f"{prefix}.stage1_block0.Conv{dimensions}D_2.kernel": (*(1,) * dimensions, 4, 6)}


def test_of_the_detector():
    levels = (AnchorLevel(4, (4.0, 5.0)),)
    network = FPN3D(levels, 3, (4, 6), (1, 1), pyramid_features=5, head_depth=2, prior=0.01)
    parameters = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 8, 8, 8, 1)))["params"]
    expected = blocks("ResNet3D_0", 3) | {
        "ResNet3D_0.Conv3D_0.kernel": (3, 3, 3, 1, 3),
        "ResNet3D_0.Conv3D_1.kernel": (3, 3, 3, 3, 4),
        "lateral4.kernel": (1, 1, 1, 6, 5),
        "lateral4.bias": (5,),
        "smooth4.kernel": (3, 3, 3, 5, 5),
        "smooth4.bias": (5,),
        "classify.Conv3D_0.kernel": (3, 3, 3, 5, 5),
        "classify.Conv3D_1.kernel": (3, 3, 3, 5, 5),
        "locate.Conv3D_0.kernel": (3, 3, 3, 5, 5),
        "locate.Conv3D_1.kernel": (3, 3, 3, 5, 5),
        "logits4.kernel": (1, 1, 1, 5, 2),
        "logits4.bias": (2,),
        "codes4.kernel": (1, 1, 1, 5, 8),
        "codes4.bias": (8,),
    }
    assert shapes(parameters) == (expected, 2 + 2 + 3 + 2 + 2)


def test_of_the_networks_for_slides():
    config = sos.get_config()
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4, 6), (1, 1)
    config.model.update(dict(intensity_mean=0.2, intensity_deviation=0.5, attention_features=3, high_stem_block=2))
    config.model.low_stem_block = 0
    config.method.use_policy = True
    model, method = settings_from(SosModelSettings, config.model), settings_from(MethodSettings, config.method)
    networks = make_networks(model, method, SlideLayout(grid=4, patch_side=16, shrink=4))
    expected = {
        **blocks("low.backbone", 2),
        "low.backbone.stem.kernel": (7, 7, 1, 4),
        "low.backbone.stem.bias": (4,),
        "low.Dense_0.kernel": (6, 4),
        "low.Dense_0.bias": (4,),
        **blocks("high.encoder", 2),
        "high.encoder.stem.kernel": (3, 3, 4, 4),
        "high.encoder.stem.bias": (4,),
        "high.head.GatedAttention_0.content.kernel": (6, 3),
        "high.head.GatedAttention_0.content.bias": (3,),
        "high.head.GatedAttention_0.gate.kernel": (6, 3),
        "high.head.GatedAttention_0.gate.bias": (3,),
        "high.head.GatedAttention_0.score.kernel": (3, 1),
        "high.head.residual.kernel": (6, 6),
        "high.head.Dense_0.kernel": (6, 4),
        "high.head.Dense_0.bias": (4,),
        **blocks("policy.backbone", 2),
        "policy.backbone.stem.kernel": (7, 7, 1, 4),
        "policy.backbone.stem.bias": (4,),
        "policy.Dense_0.kernel": (6, 1),
        "policy.Dense_0.bias": (1,),
    }
    assert shapes(jax.eval_shape(networks.init, jax.random.key(0))) == (expected, 3 * 4)
