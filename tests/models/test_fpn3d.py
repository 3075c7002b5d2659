"""The detector's output lines up with its anchors and starts from the prior; what is said stands on all levels."""

import copy
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import phantom
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.detection.anchors import AnchorLevel
from medssl_jax.models.detector import AnchorSettings, DetectorSettings, make_detector
from medssl_jax.models.fpn3d import FPN3D
from medssl_jax.models.resnet import ResNet3D
from medssl_jax.models.target import compiled_for


def noise(seed, *shape):
    """NumPy's: JAX takes seconds to compile a draw."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def detector_of(config):
    model, anchors = settings_from(DetectorSettings, config.model), settings_from(AnchorSettings, config.anchors)
    return make_detector(model, anchors, patch_side=config.patches.side)


@pytest.fixture(scope="module")
def config():
    """Three stages, of which the two coarser ones have anchors."""
    config = phantom.get_config()
    config.patches.side = 32
    config.anchors.strides, config.anchors.sides_mm = (4, 8), ((4.5, 7.0, 10.0), (14.0, 20.0))
    config.model.features, config.model.blocks, config.model.pyramid_features = (8, 16, 16), (1, 1, 1), 16
    return config


@pytest.fixture(scope="module")
def detector(config):
    return detector_of(config)


@pytest.fixture(scope="module")
def params(detector):
    return detector.init(jax.random.key(0))


@pytest.fixture(scope="module")
def predict(detector):
    return jax.jit(detector.predict)


def test_one_prediction_an_anchor():
    detector = detector_of(phantom.get_config())
    side = detector.grid.patch_side
    prediction = jax.eval_shape(
        lambda key, patches: detector.predict(detector.init(key), patches),
        jax.random.key(0),
        jax.ShapeDtypeStruct((2, side, side, side, 1), jnp.float32),
    )
    assert prediction.logits.shape == (2, len(detector.grid))
    assert prediction.deltas.shape == (2, len(detector.grid), 4)


def test_starts_from_the_prior(predict, params):
    prediction = predict(params, noise(1, 2, 32, 32, 32, 1))
    assert float(jax.nn.sigmoid(prediction.logits).mean()) == pytest.approx(0.01, rel=0.3)
    assert float(jnp.abs(prediction.deltas).mean()) < 0.1


def test_half_precision_is_computed_in_and_not_handed_on(config):
    half = copy.deepcopy(config)
    half.model.dtype = "bfloat16"
    network = detector_of(half).network
    patches = jax.ShapeDtypeStruct((1, 32, 32, 32, 1), jnp.float32)
    (prediction, variables) = jax.eval_shape(network.init_with_output, jax.random.key(0), patches)
    assert {leaf.dtype for leaf in jax.tree.leaves((prediction, variables))} == {jnp.dtype("float32")}
    assert "bf16[1,16,16,16,8]" in str(jax.make_jaxpr(network.apply)(variables, patches))


@pytest.fixture(scope="module")
def centre_of_attention(detector, params):
    patch = noise(2, 1, 32, 32, 32, 1)

    @jax.jit
    def centre(anchor):
        slope = jax.grad(lambda patch: detector.predict(params, patch).logits[0, anchor])(patch)[0, ..., 0] ** 2
        return jnp.stack([(slope * index).sum() for index in jnp.indices(slope.shape, dtype=jnp.float32)]) / slope.sum()

    return centre


@pytest.mark.parametrize("level", [0, 1])
def test_each_anchor_looks_at_its_own_place(detector, centre_of_attention, level):
    """Ties the order of the network's output to that of `AnchorGrid`: what an anchor depends on lies round it."""
    sizes = [np.prod(shape) for shape in detector.grid.grid_shapes]
    first = sum(sizes[:level])
    chosen = first + np.random.default_rng(level).permutation(sizes[level])[:12]
    looked_at = np.array([centre_of_attention(anchor) for anchor in chosen])
    places = detector.grid.boxes_zyxdhw()[chosen, :3]
    for axis in range(3):
        correlation = [np.corrcoef(looked_at[:, axis], places[:, other])[0, 1] for other in range(3)]
        assert int(np.argmax(correlation)) == axis
        assert correlation[axis] > 0.7


def changes(predict, params, grid, name):
    """Whether logits and deltas of each level differ, finest first, once the parameters of that name do."""
    patches = noise(3, 2, 32, 32, 32, 1)
    other = params | {name: jax.tree.map(lambda leaf: leaf + 0.5, params[name])}
    said = [predict(each, patches) for each in (params, other)]
    differs = [np.asarray(a != b) for a, b in zip(*said, strict=True)]
    ends = np.cumsum([math.prod(shape) for shape in grid.grid_shapes])[:-1]
    return [[bool(level.any()) for level in np.split(each, ends, axis=1)] for each in differs]


@pytest.mark.parametrize(
    ("name", "logits", "deltas"),
    [
        ("lateral8", [True, True], [True, True]),  # what the coarser level sees comes down to the finer one
        ("lateral4", [True, False], [True, False]),
        ("classify", [True, True], [False, False]),
        ("locate", [False, False], [True, True]),
        ("smooth4", [True, False], [True, False]),
        ("codes8", [False, False], [False, True]),
    ],
)
def test_what_depends_on_what(predict, params, detector, name, logits, deltas):
    assert changes(predict, params, detector.grid, name) == [logits, deltas]


def test_levels_need_not_be_neighbours():
    """Between them the pyramid goes on; nothing finer than the finest level is computed."""
    levels = (AnchorLevel(4, (4.0,)), AnchorLevel(16, (20.0,)))
    network = FPN3D(levels, 0, (4, 4, 4, 4), (1, 1, 1, 1), pyramid_features=4, head_depth=1, prior=0.01)
    parameters = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, 32, 1)))["params"]
    laterals = {name for name in parameters if name.startswith("lateral")}
    assert laterals == {"lateral4", "lateral8", "lateral16"}
    assert {name for name in parameters if name.startswith(("smooth", "logits", "codes"))} == {
        f"{kind}{stride}" for kind in ("smooth", "logits", "codes") for stride in (4, 16)
    }


@pytest.mark.parametrize("stem_features", [0, 3])
def test_what_is_computed_again_is_the_same(stem_features):
    patches = noise(3, 1, 4, 4, 4, 2)
    plain, remat = (ResNet3D(stem_features, (4,), (1,), remat) for remat in (False, True))
    shapes = jax.eval_shape(plain.init, jax.random.key(0), patches)
    params = jax.tree.map(lambda leaf: noise(4, *leaf.shape), shapes)

    def gradient(network):
        with compiled_for("tpu"):
            return jax.jit(jax.grad(lambda params: network.apply(params, patches)[0].sum()))(params)

    for a, b in zip(jax.tree.leaves(gradient(plain)), jax.tree.leaves(gradient(remat)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * float(np.abs(a).max() + 1e-6))


@pytest.mark.parametrize(("platform", "most", "least"), [("tpu", 0.8, 0), ("cpu", 1, 1)])
def test_what_is_computed_again_is_not_kept_on_accelerators(config, detector, params, platform, most, least):
    other = copy.deepcopy(config)
    other.model.remat = True
    patches = jax.ShapeDtypeStruct((1, 32, 32, 32, 1), jnp.float32)

    def kept(detector):
        with compiled_for(platform):
            _, backward = jax.eval_shape(
                lambda params, patches: jax.vjp(detector.predict, params, patches), params, patches
            )
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    assert least <= kept(detector_of(other)) / kept(detector) <= most


@pytest.mark.parametrize(("stem_features", "first"), [(5, (3, 3, 3, 1, 5)), (0, (3, 3, 3, 8, 4))])
def test_the_stem_sees_the_full_resolution_where_it_has_features(stem_features, first):
    """Otherwise it is a space-to-depth: the first convolution is that of eight voxels, at half the resolution."""
    network = ResNet3D(stem_features, (4, 6), (1, 1))
    volume = jax.ShapeDtypeStruct((1, 8, 8, 8, 1), jnp.float32)
    (maps, variables) = jax.eval_shape(network.init_with_output, jax.random.key(0), volume)
    assert variables["params"]["Conv3D_0"]["kernel"].shape == first
    assert [each.shape for each in maps] == [(1, 4, 4, 4, 4), (1, 2, 2, 2, 6)]


def test_a_patch_side_that_does_not_fit_is_refused():
    config = phantom.get_config()
    config.patches.side = 40
    with pytest.raises(InputError, match="patch side 40 is not a multiple of the stride 16"):
        detector_of(config)


@pytest.mark.parametrize(
    ("platform", "stem_features", "features", "held"),
    [
        ("gpu", 4, (8,), "4x4x4x32"),
        ("tpu", 4, (8, 6), "4x2x2x128"),  # more voxels in one place, and those of the first stage too
        ("tpu", 0, (8, 6), "4x2x2x32"),
    ],
)
def test_the_backbone_is_the_same_function_on_accelerators(platform, stem_features, features, held):
    """There it works on blocks of voxels."""
    network = ResNet3D(stem_features, features, (1,) * len(features))
    x = noise(4, 1, 8, 8, 8, 1)
    params = jax.jit(network.init)(jax.random.key(0), x)

    def value_and_gradient():
        def total(params):
            return sum((each**2).mean() for each in network.apply(params, x))

        return jax.jit(jax.value_and_grad(total))(params)

    on_cpu = value_and_gradient()
    with compiled_for(platform):
        text = jax.jit(network.apply).lower(params, x).as_text()
        there = value_and_gradient()
    assert held in text
    for a, b in zip(jax.tree.leaves(on_cpu), jax.tree.leaves(there), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
