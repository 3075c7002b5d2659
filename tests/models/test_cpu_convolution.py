"""The CPU's way to convolve, and its gradient, against XLA's plain convolution."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.models import cpu_convolution
from medssl_jax.models.cpu_convolution import border, convolve_on_cpu


def noise(seed, *shape):
    """NumPy's: JAX takes seconds to compile a draw."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain(x, kernel, strides):
    between, within = strides
    borders = [border(side) for side in kernel.shape[:3]]
    layout = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(x, kernel, (between, within, within), borders, dimension_numbers=layout)


# Volume, kernel, strides between slices and within them.
CASES = {
    "volumes": ((2, 8, 6, 4, 3), (3, 3, 3, 3, 5), (1, 1)),
    "volumes, odd sides": ((2, 5, 7, 3, 4), (3, 3, 3, 4, 5), (1, 1)),
    "halved": ((2, 8, 6, 4, 3), (3, 3, 3, 3, 5), (2, 2)),
    "halved, odd sides": ((2, 7, 5, 6, 2), (3, 3, 3, 2, 3), (2, 2)),
    "one slice": ((2, 1, 6, 4, 3), (3, 3, 3, 3, 5), (1, 1)),
    "one channel": ((2, 4, 6, 4, 1), (3, 3, 3, 1, 5), (1, 1)),
    "few channels, halved": ((1, 7, 6, 4, 2), (3, 3, 3, 2, 7), (2, 2)),
    "blocks to voxels": ((2, 6, 4, 6, 3), (2, 2, 2, 3, 4), (1, 1)),
    "images": ((1, 3, 9, 7, 2), (1, 3, 3, 2, 4), (1, 1)),
    "halved images, odd sides": ((1, 3, 9, 7, 2), (1, 3, 3, 2, 4), (1, 2)),
    "a large kernel": ((1, 2, 9, 9, 2), (1, 7, 7, 2, 3), (1, 2)),
}


@pytest.fixture(params=["plainly", "in pairs along depth", "in pairs wherever it can"])
def way(request, monkeypatch):
    """Products for each result, or Winograd's for pairs of them, which small volumes are not worth."""
    if request.param != "plainly":
        monkeypatch.setattr(cpu_convolution, "MUCH_WORK", 0)
    if request.param == "in pairs wherever it can":
        monkeypatch.setattr(cpu_convolution, "MANY_CHANNELS", 1)
        monkeypatch.setattr(cpu_convolution, "FEWEST_ROWS", 1)


def value_and_gradients(convolve, x, kernel, strides):
    """What comes out, and the slopes of a weighted sum of it."""

    def total(x, kernel):
        y = convolve(x, kernel, strides)
        return (y * noise(2, *y.shape)).sum(), y

    (_, y), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(x, kernel)
    return y, *gradients


@functools.cache
def given_and_expected(case):
    shape, kernel_shape, strides = CASES[case]
    given = noise(0, *shape), noise(1, *kernel_shape), strides
    return given, value_and_gradients(plain, *given)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("read_at_once", [1, 200, 2**18], ids=["a row", "some", "all"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_plain_convolution_and_so_is_its_gradient(monkeypatch, case, read_at_once):
    monkeypatch.setattr(cpu_convolution, "READ_AT_ONCE", read_at_once)
    given, expected = given_and_expected(case)
    for ours, theirs in zip(value_and_gradients(convolve_on_cpu, *given), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_pairs_of_results_are_found_together_where_there_is_much_work():
    few, many = (jax.ShapeDtypeStruct((1, side, side, side, 16), jnp.float32) for side in (16, 32))
    kernel = jax.ShapeDtypeStruct((3, 3, 3, 16, 16), jnp.float32)
    counts = [
        str(jax.make_jaxpr(lambda x, kernel: convolve_on_cpu(x, kernel, (1, 1)))(x, kernel)).count("conv_general")
        for x in (few, many)
    ]
    assert counts == [1, 4]  # all slices of the kernel at once; one for each of four parts


@pytest.mark.parametrize(("number", "most", "expected"), [(12, 5, 4), (12, 12, 12), (12, 99, 12), (7, 6, 1), (5, 0, 1)])
def test_slices_and_rows_are_read_in_equal_shares(number, most, expected):
    assert cpu_convolution._divisor_within(number, most) == expected


def test_devices_that_share_a_batch_meet_once(monkeypatch):
    monkeypatch.setattr(cpu_convolution, "READ_AT_ONCE", 1)
    x, kernel = noise(0, 2, 4, 4, 4, 2), noise(1, 3, 3, 3, 2, 3)

    def gradient(kernel):
        return jax.grad(lambda kernel: (convolve_on_cpu(x, kernel, (1, 1)) ** 2).sum())(kernel)

    in_parts = str(jax.make_jaxpr(gradient)(kernel)), gradient(kernel)
    with cpu_convolution.batch_shared():
        at_once = str(jax.make_jaxpr(lambda kernel: gradient(kernel))(kernel)), gradient(kernel)
    assert ("scan" in in_parts[0], "scan" in at_once[0]) == (True, False)
    np.testing.assert_allclose(in_parts[1], at_once[1], rtol=1e-4, atol=1e-4)


def test_sixteen_bits_stay_sixteen_bits_and_are_summed_in_more():
    x, kernel = (
        noise(seed, *shape).astype(jnp.bfloat16) for seed, shape in ((0, (1, 64, 4, 4, 2)), (1, (3, 3, 3, 2, 2)))
    )
    found = jax.grad(lambda kernel: convolve_on_cpu(x, kernel, (1, 1)).astype(jnp.float32).sum())(kernel)
    whole = jax.grad(lambda kernel: plain(x.astype(jnp.float32), kernel, (1, 1)).sum())(kernel.astype(jnp.float32))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), whole, rtol=2e-2, atol=0.3)
