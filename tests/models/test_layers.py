"""The CPU's way to convolve against the plain one, and the layers' small promises."""

import math

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


def test_group_norm_sees_one_patch_at_a_time():
    x = noise(0, 3, 4, 4, 4, 6) * jnp.arange(1, 4.0)[:, None, None, None, None]
    layer = GroupNorm()
    params = layer.init(jax.random.key(0), x)
    together = layer.apply(params, x)
    np.testing.assert_allclose(together[1:2], layer.apply(params, x[1:2]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together.std((1, 2, 3)), 1, atol=0.3)


@pytest.mark.parametrize("channels", [6, 8, 24])
@pytest.mark.parametrize("space", [(6, 5), (4, 3, 5), (2, 3, 2, 8)])
def test_group_norm_and_its_gradients_are_those_of_flax(space, channels):
    x = 3 + 2 * noise(0, 2, *space, channels)
    ours = GroupNorm()
    theirs = nn.GroupNorm(num_groups=math.gcd(8, channels))
    params = {"params": {"GroupNorm_0": {"scale": noise(1, channels), "bias": noise(2, channels)}}}

    def value_and_gradients(apply):
        total = jax.value_and_grad(lambda *given: (apply(*given) * noise(3, *x.shape)).sum(), argnums=(0, 1))
        return jax.jit(total)(params, x)

    expected = value_and_gradients(lambda params, x: theirs.apply({"params": params["params"]["GroupNorm_0"]}, x))
    for a, b in zip(*map(jax.tree.leaves, (value_and_gradients(ours.apply), expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(jnp.abs(b).max()))


def test_statistics_of_a_norm_are_float32_where_the_network_is_not():
    """The mean of 4,096 numbers near 1 is lost in bfloat16, whose numbers near 1 are 1/128 apart."""
    x = (1 + 0.05 * noise(0, 1, 16, 16, 16, 8)).astype(jnp.bfloat16)
    layer = GroupNorm()
    found, params = jax.jit(layer.init_with_output)(jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert found.dtype == jnp.bfloat16
    expected = jax.jit(layer.apply)(params, x.astype(jnp.float32))
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=2**-7, atol=2**-10)


@pytest.mark.parametrize(("dtype", "mean"), [("float32", 100), ("bfloat16", 100), ("bfloat16", -250)])
def test_a_norm_finds_what_is_small_beside_a_large_mean(dtype, mean):
    """As far as the type lets numbers of deviation 1 stand there at all: bfloat16's are 1 apart near 250."""
    x = (mean + noise(0, 2, 8, 8, 8, 8)).astype(dtype)
    found, _ = jax.jit(GroupNorm().init_with_output)(jax.random.key(0), x)
    exact = np.asarray(x.astype(jnp.float32), np.float64)
    expected = (exact - exact.mean((1, 2, 3), keepdims=True)) / exact.std((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=2**-7, atol=2e-2)


@pytest.mark.parametrize("number", [0.1, -1.0, 12.34, 1234.567])
def test_a_norm_of_equal_numbers_is_a_number(number):
    """Rounding may leave a variance below 0, whose root is none."""
    x = jnp.full((1, 5, 5, 5, 8), number)
    found, _ = jax.jit(GroupNorm().init_with_output)(jax.random.key(0), x)
    np.testing.assert_allclose(found, 0, atol=1)


def test_the_cpu_path_is_taken_on_the_cpu(monkeypatch):
    calls = []
    on_cpu = layers.convolve_on_cpu
    monkeypatch.setattr(layers, "convolve_on_cpu", lambda *args: calls.append(1) or on_cpu(*args))
    Conv3D(2).init(jax.random.key(0), jnp.zeros((1, 4, 4, 4, 1)))
    assert calls
