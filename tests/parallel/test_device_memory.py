"""The memory of devices and of programs."""

import jax
import jax.numpy as jnp

from medssl_jax.parallel import device_memory


def test_a_cpu_has_that_of_the_machine():
    (device,) = jax.devices("cpu")[:1]
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 2**20 < device_memory.memory_bytes(device) <= total


def test_a_program_holds_what_comes_in_and_what_goes_out_once_where_one_takes_the_others_place():
    row = jax.ShapeDtypeStruct((1_000_000,), jnp.float32)
    apart, in_place = (jax.jit(lambda x: 2 * x, donate_argnums=donated).lower(row).compile() for donated in ((), 0))
    assert 8_000_000 <= device_memory.peak_bytes(apart) < 8_100_000
    assert 4_000_000 <= device_memory.peak_bytes(in_place) < 4_100_000
