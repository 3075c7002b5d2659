"""Attention that masked patches cannot reach, the residual connection, and which networks a method has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from experiments.configs import sos
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.models.sos_networks import (
    GatedAttention,
    Hrn,
    MethodSettings,
    SosModelSettings,
    make_networks,
    measure_intensities,
)

LAYOUT = SlideLayout(grid=4, patch_side=16, shrink=4)
PATCHES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 6)), jnp.float32)
MASK = jnp.array([[True, True, False, True, False], [True] * 5])


def small_config(**method):
    config = sos.get_config()
    config.model.update(dict(intensity_mean=0.2, intensity_deviation=0.5, attention_features=3))
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4, 8), (1, 1)
    config.model.low_stem_block = config.model.high_stem_block = 4
    config.method.update(method)
    return config


def networks_of(config):
    model = settings_from(SosModelSettings, config.model)
    return make_networks(model, settings_from(MethodSettings, config.method), LAYOUT)


@pytest.fixture(scope="module")
def pool():
    module = GatedAttention(3)
    params = jax.jit(module.init)(jax.random.key(1), PATCHES, MASK)
    return params, jax.jit(lambda patches, mask: module.apply(params, patches, mask))


def test_gated_attention_by_the_formula(pool):
    params, attend = pool
    weights = params["params"]
    layers = [np.asarray(PATCHES) @ weights[name]["kernel"] + weights[name]["bias"] for name in ("content", "gate")]
    scores = (np.tanh(layers[0]) * expit(layers[1])) @ weights["score"]["kernel"][:, 0]
    expected = softmax(np.where(MASK, scores, -np.inf), axis=1)
    pooled, attention = attend(PATCHES, MASK)
    np.testing.assert_allclose(attention, expected, rtol=1e-5)
    np.testing.assert_allclose(pooled, np.einsum("bn,bnd->bd", expected, PATCHES), rtol=1e-4, atol=1e-6)


def test_what_is_masked_does_not_matter_nor_does_the_order(pool):
    _, attend = pool
    pooled, attention = attend(PATCHES, MASK)
    assert (np.asarray(attention)[~np.asarray(MASK)] == 0).all()
    garbage = jnp.where(MASK[..., None], PATCHES, 1e3)
    np.testing.assert_array_equal(attend(garbage, MASK)[0], pooled)
    order = jnp.array([3, 1, 4, 0, 2])
    turned, turned_attention = attend(PATCHES[:, order], MASK[:, order])
    np.testing.assert_allclose(turned, pooled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(turned_attention, attention[:, order], rtol=1e-5)


def test_no_patch_at_all_pools_to_zero_with_a_finite_gradient(pool):
    params, attend = pool
    pooled, attention = attend(PATCHES, jnp.zeros_like(MASK))
    assert not np.asarray(pooled).any()
    assert not np.asarray(attention).any()

    def pooled_sum(params, patches):
        return (GatedAttention(3).apply(params, patches, jnp.zeros_like(MASK))[0] ** 2).sum()

    gradients = jax.jit(jax.grad(pooled_sum, argnums=(0, 1)))(params, PATCHES)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("join", ["add", "concat", "none"])
def test_the_connection_to_the_lrn(join):
    v = jnp.asarray(np.random.default_rng(2).normal(size=(2, 7)), jnp.float32)
    module = Hrn(4, 7, 3, join)
    params = jax.jit(module.init)(jax.random.key(3), PATCHES, MASK, v)
    slope = jax.grad(lambda v: (module.apply(params, PATCHES, MASK, v).logits ** 2).sum())(v)
    assert bool(jnp.any(slope != 0)) == (join != "none")
    classifier = params["params"]["Dense_0"]
    assert classifier["kernel"].shape[0] == (14 if join == "concat" else 7)
    if join == "add":
        logits = module.apply(params, PATCHES, jnp.zeros_like(MASK), v).logits
        np.testing.assert_allclose(logits, v @ classifier["kernel"] + classifier["bias"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "present"),
    [
        ({"use_high": False}, {"low"}),
        ({"use_low": False, "join": "none"}, {"high"}),
        ({"use_policy": True}, {"low", "high", "policy"}),
        ({"use_deferral": True}, {"low", "high", "deferral"}),
    ],
)
def test_a_method_has_the_parameters_of_its_networks(method, present):
    networks = networks_of(small_config(**method))
    params = jax.eval_shape(networks.init, jax.random.key(0))
    assert params.keys() == present


def test_grey_levels_are_normalised_by_the_same_constants_for_all_images():
    networks = networks_of(small_config(use_high=False))
    params = networks.init(jax.random.key(0))
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16), np.uint8)
    found = jax.jit(networks.low)(params, images)
    by_hand = ((images / 255 - 0.2) / 0.5)[..., None].astype(np.float32)
    expected = jax.jit(networks.lrn.apply)({"params": params["low"]}, by_hand)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    assert found.feature.shape == (2, 8)


def test_intensities_are_those_of_all_pixels():
    images = np.random.default_rng(0).integers(0, 90, (5, 8, 8), np.uint8)
    found = measure_intensities(iter(images))
    assert found == pytest.approx(((images / 255).mean(), (images / 255).std()))


@pytest.mark.parametrize("images", [[], [np.full((4, 4), 7, np.uint8)]])
def test_slides_of_one_grey_level_are_refused(images):
    with pytest.raises(InputError, match="one grey level only"):
        measure_intensities(images)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.low_stem_block", 5, r"model\.low_stem_block is 5, expected a divisor of the image side 16, or 0"),
        ("model.high_stem_block", 3, r"model\.high_stem_block is 3, expected a divisor of the image side 16, or 0"),
        ("model.intensity_deviation", 0.0, r"model\.intensity_deviation is 0\.0, expected more than 0: measure"),
        ("method.join", "plus", r"method\.join is plus, expected one of add, concat, none"),
        ("method.use_low", False, r"method\.join is add, expected none where method\.use_low is False"),
    ],
)
def test_settings_that_do_not_fit_are_refused(field, value, message):
    config = small_config()
    section, name = field.split(".")
    config[section][name] = value
    with pytest.raises(InputError, match=message):
        networks_of(config)
