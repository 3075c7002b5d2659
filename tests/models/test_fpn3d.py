"""The detector's output lines up with its anchors and starts from the prior."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import phantom
from medssl_jax.errors import InputError
from medssl_jax.models.detector import make_detector


@pytest.fixture(scope="module")
def config():
    config = phantom.get_config()
    config.patches.side = 32
    return config


@pytest.fixture(scope="module")
def detector(config):
    return make_detector(config)


@pytest.fixture(scope="module")
def params(detector):
    return detector.init(jax.random.key(0))


def test_one_prediction_an_anchor(detector, params):
    prediction = jax.jit(detector.predict)(params, jnp.zeros((2, 32, 32, 32, 1)))
    assert prediction.logits.shape == (2, len(detector.grid))
    assert prediction.codes.shape == (2, len(detector.grid), 4)


def test_starts_from_the_prior(detector, params):
    patches = jax.random.normal(jax.random.key(1), (2, 32, 32, 32, 1))
    probability = jax.nn.sigmoid(jax.jit(detector.predict)(params, patches).logits)
    assert float(probability.mean()) == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize("level", [0, 1])  # the coarsest has 2 x 2 x 2 places, which all see everything
def test_each_anchor_looks_at_its_own_place(detector, params, level):
    """Ties the order of the network's output to that of `AnchorGrid`: what an anchor depends on lies round it."""
    patch = jax.random.normal(jax.random.key(2), (1, 32, 32, 32, 1))
    sizes = [np.prod(shape) for shape in detector.grid.grid_shapes]
    first = sum(sizes[:level])
    chosen = first + np.random.default_rng(level).permutation(sizes[level])[:12]

    @jax.jit
    def centre_of_attention(anchor):
        slope = jax.grad(lambda patch: detector.predict(params, patch).logits[0, anchor])(patch)[0, ..., 0] ** 2
        return jnp.stack([(slope * index).sum() for index in jnp.indices(slope.shape)]) / slope.sum()

    looked_at = np.array([centre_of_attention(anchor) for anchor in chosen])
    places = detector.grid.boxes_zyxdhw()[chosen, :3]
    for axis in range(3):
        correlation = [np.corrcoef(looked_at[:, axis], places[:, other])[0, 1] for other in range(3)]
        assert int(np.argmax(correlation)) == axis
        assert correlation[axis] > 0.7


def test_rematerialised_blocks_give_the_same(config, detector, params):
    other = copy.deepcopy(config)
    other.model.remat = True
    patches = jax.random.normal(jax.random.key(3), (1, 32, 32, 32, 1))
    remat = make_detector(other)

    def gradient(detector):
        return jax.jit(jax.grad(lambda p: detector.predict(p, patches).logits.sum()))(params)

    for a, b in zip(jax.tree.leaves(gradient(detector)), jax.tree.leaves(gradient(remat)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * float(jnp.abs(a).max() + 1e-6))


def test_a_patch_side_that_does_not_fit_is_refused():
    config = phantom.get_config()
    config.patches.side = 40
    with pytest.raises(InputError, match="patch side 40 is not a multiple of the stride 16"):
        make_detector(config)
