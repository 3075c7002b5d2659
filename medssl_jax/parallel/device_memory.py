"""The memory that a device's programs may take."""

import os
from pathlib import Path

import jax

# Of a container; the second is of older kernels, where "no limit" is a number larger than any memory.
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_bytes(device: jax.Device) -> int:
    """What JAX may take of an accelerator's memory; of a CPU's all that the machine or the container has."""
    if device.platform == "cpu":
        return machine_memory_bytes()
    return int(device.memory_stats()["bytes_limit"])


def machine_memory_bytes() -> int:
    """The main memory, or the container's share of it where that is smaller."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *(limit for path in CONTAINER_LIMITS if (limit := _limit_in(path)) is not None)])


def _limit_in(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:  # no container, or another system
        return None
    return int(text) if text.isdigit() else None
