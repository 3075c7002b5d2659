"""The CPU's gradient of a convolution against the plain one, the size of ResNet-18, and brightness that survives."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.models import resnet2d
from medssl_jax.models.resnet2d import Conv2D, ResNet2D, halve_by_maximum, space_to_depth_2d


def noise(seed, *shape):
    """NumPy's: JAX takes seconds to compile a draw."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("kernel", "stride", "sides"), [(3, 1, (6, 5)), (3, 2, (8, 7)), (7, 2, (9, 8)), (1, 2, (5, 6))]
)
def test_the_gradient_on_a_cpu_is_the_plain_one(kernel, stride, sides, monkeypatch):
    x = noise(0, 2, *sides, 3)
    layer = Conv2D(5, kernel, stride, use_bias=True)
    params = jax.tree.map(lambda leaf: noise(1, *leaf.shape), jax.eval_shape(layer.init, jax.random.key(1), x))

    def value_and_gradients():
        return jax.jit(jax.value_and_grad(lambda p, x: (layer.apply(p, x) ** 2).sum(), argnums=(0, 1)))(params, x)

    on_cpu = value_and_gradients()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for a, b in zip(jax.tree.leaves(on_cpu), jax.tree.leaves(value_and_gradients()), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-3)


def test_the_gradient_on_a_cpu_is_the_one_written_out(monkeypatch):
    calls = []
    on_cpu = resnet2d.convolve_on_cpu
    monkeypatch.setattr(resnet2d, "convolve_on_cpu", lambda *args: calls.append(1) or on_cpu(*args))
    Conv2D(2).init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    assert calls


@pytest.mark.parametrize("sides", [(6, 8), (5, 7)])
def test_halving_is_a_maximum_pooling(sides):
    x = nn.relu(noise(0, 2, *sides, 3))
    expected = nn.max_pool(x, (3, 3), (2, 2), [(1, 1), (1, 1)])
    np.testing.assert_array_equal(halve_by_maximum(x), expected)


def test_space_to_depth_keeps_every_pixel_of_a_block():
    x = jnp.arange(36.0).reshape(1, 6, 6, 1)
    blocks = space_to_depth_2d(x, 3)
    assert blocks.shape == (1, 2, 2, 9)
    np.testing.assert_array_equal(blocks[0, 1, 0], np.ravel(x[0, 3:6, 0:3, 0]))


def test_default_stem_and_four_stages_are_resnet18():
    network = ResNet2D((64, 128, 256, 512), (2, 2, 2, 2))
    image = jnp.zeros((1, 1000, 1000, 1))
    feature, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), image)
    assert feature.shape == (1, 512)
    kernels = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(variables) if path[-1].key == "kernel"]
    # torchvision's 11,176,512 without its classifier, less 9,600 of BatchNorm and two of three colours.
    assert sum(leaf.size for leaf in kernels) == 11_176_512 - 9_600 - 2 * 64 * 7 * 7
    scales = [path for path, _ in jax.tree_util.tree_leaves_with_path(variables) if path[-1].key == "scale"]
    assert len(scales) == 4 * 2 * 2  # both convolutions of every block are normalised


@pytest.fixture(scope="module")
def small():
    network = ResNet2D((8, 16), (1, 1), stem_block=4)
    params = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    return jax.jit(lambda images: network.apply(params, images))


def test_brightness_survives(small):
    """The same picture at half the exposure must not look the same: brightness tells the negative class apart."""
    picture = jax.nn.sigmoid(noise(1, 1, 32, 32, 1))
    bright, dark = (small((grey - 0.5) / 0.3)[0] for grey in (picture, picture / 2))
    assert float(jnp.linalg.norm(bright - dark) / jnp.linalg.norm(bright)) > 0.2


def test_an_image_is_seen_by_itself(small):
    images = jax.nn.sigmoid(noise(2, 3, 32, 32, 1)) * jnp.arange(1, 4.0)[:, None, None, None]
    np.testing.assert_allclose(small(images)[1:2], small(images[1:2]), rtol=1e-4, atol=1e-5)
