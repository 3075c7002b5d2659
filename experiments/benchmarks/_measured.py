"""The state of the machine, which every benchmark tells, and work measured in a process of its own."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple


class Measured(NamedTuple):
    """The result of a function, its seconds, and the peak memory of its process alone."""

    result: Any
    seconds: float
    peak_mb: float


def machine() -> str:
    """The cores this process may use, and how busy they are already."""
    return f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Calls `function` (picklable) in a fresh process; starting it does not count."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, *arguments).result()


def _measured(function: Callable[..., Any], *arguments: Any) -> Measured:
    begin = time.perf_counter()
    result = function(*arguments)
    seconds = time.perf_counter() - begin
    # The kernel's own count; getrusage would add what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return Measured(result, seconds, peak_kb / 1000)
