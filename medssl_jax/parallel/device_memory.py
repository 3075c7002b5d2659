"""The memory that a device's programs may take."""

import jax

from medssl_jax.core.machine_memory import machine_memory_bytes


def memory_bytes(device: jax.Device) -> int:
    """What JAX may take of an accelerator's memory; of a CPU's all that the machine or the container has."""
    if device.platform == "cpu":
        return machine_memory_bytes()
    return int(device.memory_stats()["bytes_limit"])
