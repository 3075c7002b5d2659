"""GroupNorm and its gradient against Flax's, what it makes of few bits, and what it keeps."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.models.layers import GroupNorm
from medssl_jax.models.target import compiled_for


def noise(seed, *shape):
    """NumPy's: JAX takes seconds to compile a draw."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


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


def test_its_gradient_needs_what_came_in_and_little_else():
    """Nothing of the size of a volume in float32 where the volume is of 16 bits."""
    x = noise(0, 2, 4, 4, 4, 8).astype(jnp.bfloat16)
    params = GroupNorm().init(jax.random.key(0), x)
    _, backward = jax.vjp(GroupNorm().apply, params, x)
    sizes = sorted((leaf.size, leaf.dtype.name) for leaf in jax.tree.leaves(backward))
    assert sizes[-1] == (x.size, "bfloat16")
    assert sizes[-2][0] <= 2 * 8


@pytest.mark.parametrize(("platform", "count"), [("cpu", 0), ("gpu", 0), ("tpu", 2)])
def test_only_on_a_tpu_it_is_kept_apart_from_what_comes_before_it(platform, count):
    """What the volume came from, and what its slope came from."""
    x = noise(0, 2, 4, 4, 4, 8)
    params = GroupNorm().init(jax.random.key(0), x)
    with compiled_for(platform):
        program = str(jax.make_jaxpr(jax.grad(lambda params: GroupNorm().apply(params, x).sum()))(params))
    assert program.count("optimization_barrier") == count
