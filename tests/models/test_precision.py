"""Networks traced for accelerators compute in bfloat16; parameters, gradients and what they give are float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import sos
from medssl_jax.core.settings import settings_from
from medssl_jax.detection.anchors import AnchorLevel
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.models.fpn3d import FPN3D
from medssl_jax.models.sos_networks import MethodSettings, SosModelSettings, make_networks
from medssl_jax.models.target import compiled_for, computation_dtype

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("named", "platform", "expected"),
    [
        ("auto", "cpu", "float32"),
        ("auto", "gpu", "bfloat16"),
        ("auto", "tpu", "bfloat16"),
        ("float32", "tpu", "float32"),
        ("bfloat16", "cpu", "bfloat16"),
    ],
)
def test_the_type_is_that_of_the_platform_unless_it_is_named(named, platform, expected):
    with compiled_for(platform):
        assert computation_dtype(named) == jnp.dtype(expected)


def fresh(init):
    """Parameters as small as He's, drawn by NumPy: what draws them in JAX takes seconds to compile."""
    shapes = jax.eval_shape(init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1]))), leaf.dtype),
        shapes,
    )


def detector():
    """Its stem works on blocks."""
    network = FPN3D((AnchorLevel(2, (4.0,)),), 4, (8,), (1,), pyramid_features=8, head_depth=1, prior=0.01)
    patches = jnp.asarray(RNG.normal(size=(2, 8, 8, 8, 1)), jnp.float32)
    return lambda params: tuple(network.apply(params, patches)), fresh(lambda key: network.init(key, patches))


def slides(pretrained):
    """All three networks on two slides; as pretrained ones, without norms."""
    config = sos.get_config()
    config.model.update(dict(intensity_mean=0.5, intensity_deviation=0.3, attention_features=3))
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4, 8), (1, 1)
    config.method.use_policy = True
    model, method = settings_from(SosModelSettings, config.model), settings_from(MethodSettings, config.method)
    if pretrained:
        object.__setattr__(model, "pretrained", "resnet18.npz")  # whose sizes are those of ResNet-18
    networks = make_networks(model, method, SlideLayout(grid=4, patch_side=16, shrink=4))
    images = jnp.asarray(RNG.integers(0, 256, (2, 16, 16), np.uint8))

    def apply(params):
        low = networks.low(params, images)
        features = networks.encode(params, images)
        high = networks.high(params, features[:, None], jnp.ones((2, 1), bool), low.feature)
        return low.logits, features, high.logits, networks.policy(params, images)

    return apply, fresh(networks.init)


NETWORKS = {"detector": detector, "slides": lambda: slides(False), "slides without norms": lambda: slides(True)}


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_is_near_and_only_computed_in(name):
    """Outputs to 2 % of the largest, the gradient to 4 % of its length; bfloat16 rounds each activation to .4 %."""
    apply, params = NETWORKS[name]()

    def outputs_and_gradients(params):
        def total(params):
            outputs = apply(params)
            return sum((each**2).sum() for each in outputs), outputs

        (loss, outputs), gradients = jax.value_and_grad(total, has_aux=True)(params)
        return loss, outputs, gradients

    exact = jax.jit(outputs_and_gradients)(params)
    with compiled_for("tpu"):
        program = jax.jit(lambda params: outputs_and_gradients(params))  # another function: JAX remembers the first one
        assert "bf16" in program.lower(params).as_text()
        half = program(params)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, half))} == {jnp.dtype("float32")}
    for ours, theirs in zip(jax.tree.leaves(half[1]), jax.tree.leaves(exact[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.02 * float(jnp.abs(theirs).max()))
    ours, theirs = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(each[2])]) for each in (half, exact))
    assert np.linalg.norm(ours - theirs) < 0.04 * np.linalg.norm(theirs)


def test_runs_of_slides_from_before_there_was_a_choice_are_of_float32():
    config = sos.get_config()
    del config.model.dtype
    assert settings_from(SosModelSettings, config.model).dtype == "float32"
