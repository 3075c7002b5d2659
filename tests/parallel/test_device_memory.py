"""The memory of devices."""

import jax

from medssl_jax.parallel import device_memory


def test_a_cpu_has_that_of_the_machine():
    (device,) = jax.devices("cpu")[:1]
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 2**20 < device_memory.memory_bytes(device) <= total
