"""The main memory of the machine, or of the container that this runs in: all of it, and what is free."""

import os
from pathlib import Path

from etils import epy

with epy.lazy_imports():
    import psutil

# Of a container; the second is of older kernels, where "no limit" is a number larger than any memory.
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# Beside each: what is in use, and what of that memory.stat says are pages of files that can be dropped.
IN_USE = {
    "memory.max": ("memory.current", "inactive_file"),
    "memory.limit_in_bytes": ("memory.usage_in_bytes", "total_inactive_file"),
}


def machine_memory_bytes() -> int:
    """The main memory, or the container's share of it where that is smaller."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *(limit for path in CONTAINER_LIMITS if (limit := _number_in(path)) is not None)])


def free_memory_bytes() -> int:
    """What of it can be taken now without swapping: pages that can be dropped count."""
    free = [int(psutil.virtual_memory().available)]
    for path in CONTAINER_LIMITS:
        in_use, droppable = IN_USE[path.name]
        limit, used = _number_in(path), _number_in(path.with_name(in_use))
        if limit is not None and used is not None:
            free.append(max(0, limit - used + _statistic(path.with_name("memory.stat"), droppable)))
    return min(free)


def _statistic(path: Path, name: str) -> int:
    try:
        told = dict(line.split() for line in path.read_text().splitlines())
    except OSError:
        return 0
    return int(told.get(name, 0))


def _number_in(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:  # no container, or another system
        return None
    return int(text) if text.isdigit() else None
