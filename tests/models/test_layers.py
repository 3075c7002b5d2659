"""The CPU's way to convolve against the plain one, and the layers' small promises."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.models import layers
from medssl_jax.models.layers import Conv3D, GroupNorm, draw_flat, he_normal, upsample_twice


def noise(seed, *shape):
    """NumPy's: JAX takes seconds to compile a draw."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_convolution_on_a_cpu_is_the_plain_one(kernel, stride, monkeypatch):
    x = noise(0, 2, 8, 8, 8, 3)
    layer = Conv3D(5, kernel=kernel, stride=stride, use_bias=True)
    shapes = jax.eval_shape(layer.init, jax.random.key(1), x)
    params = jax.tree.map(lambda leaf: noise(1, *leaf.shape), shapes)

    def value_and_gradients():
        return jax.jit(jax.value_and_grad(lambda p, x: (layer.apply(p, x) ** 2).sum(), argnums=(0, 1)))(params, x)

    on_cpu = value_and_gradients()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    plain = value_and_gradients()
    for a, b in zip(jax.tree.leaves(on_cpu), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize(
    "layer", [Conv3D(2, use_bias=True), Conv3D(2, kernel=1, use_bias=True), GroupNorm()], ids=["3", "1", "norm"]
)
def test_what_comes_in_16_bits_goes_out_in_16_bits(layer):
    x = jax.ShapeDtypeStruct((1, 4, 4, 4, 2), jnp.bfloat16)
    out, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_flat_draws_are_the_same_draws():
    shape = (3, 3, 3, 4, 5)
    flat = draw_flat(nn.initializers.normal(0.3))(jax.random.key(3), shape)
    # To the last digit only: another shape may be compiled to another order of rounding (seen with jax 0.12).
    np.testing.assert_allclose(flat, nn.initializers.normal(0.3)(jax.random.key(3), shape), rtol=1e-6)


def test_he_normal_keeps_the_variance_of_rectified_inputs():
    draws = he_normal(200)(jax.random.key(0), (200, 400))
    assert float(draws.var()) == pytest.approx(2 / 200, rel=0.02)


def test_upsampling_repeats():
    x = noise(0, 1, 2, 3, 4, 2)
    expected = np.repeat(np.repeat(np.repeat(x, 2, 1), 2, 2), 2, 3)
    np.testing.assert_array_equal(upsample_twice(x), expected)


def test_the_cpu_path_is_taken_on_the_cpu(monkeypatch):
    calls = []
    on_cpu = layers.convolve_on_cpu
    monkeypatch.setattr(layers, "convolve_on_cpu", lambda *args: calls.append(1) or on_cpu(*args))
    Conv3D(2).init(jax.random.key(0), jnp.zeros((1, 4, 4, 4, 1)))
    assert calls
