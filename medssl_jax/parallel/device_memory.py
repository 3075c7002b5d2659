"""The memory that a device's programs may take, and what one of them takes."""

from typing import Any

import jax

from medssl_jax.core.machine_memory import machine_memory_bytes


def memory_bytes(device: jax.Device) -> int:
    """What JAX may take of an accelerator's memory; of a CPU's all that the machine or the container has."""
    if device.platform == "cpu":
        return machine_memory_bytes()
    return int(device.memory_stats()["bytes_limit"])


def peak_bytes(compiled: jax.stages.Compiled) -> int:
    """What a compiled program holds at once on one device, by the compiler's account.

    That is what comes in, what goes out and does not take its place, scratch and code.
    """
    sizes: Any = compiled.memory_analysis()
    held = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return int(held + sizes.generated_code_size_in_bytes + sizes.temp_size_in_bytes)
