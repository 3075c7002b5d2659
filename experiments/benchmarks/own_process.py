"""Work measured in a process of its own: its seconds, and the peak of its memory alone."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from experiments.benchmarks.bench import Cost, clock


class Measured(NamedTuple):
    """The result of a function, its cost, and the peak memory of its process alone."""

    result: Any
    cost: Cost
    peak_mb: float


def in_own_process(function: Callable[..., Any], *arguments: Any, **options: Any) -> Measured:
    """Calls `function` (picklable) in a fresh process; starting it does not count."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, *arguments, **options).result()


def _measured(function: Callable[..., Any], *arguments: Any, **options: Any) -> Measured:
    logging.set_verbosity(logging.ERROR)  # as every command has it: orbax tells of its own doings
    begin = clock()
    result = function(*arguments, **options)
    end = clock()
    return Measured(result, Cost(end.wall - begin.wall, end.cpu - begin.cpu), peak_mb())


def peak_mb() -> float:
    """The most memory that this process has held at once."""
    # The kernel's own count; getrusage would add what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return peak_kb / 1000


def use_processors(count: int) -> int:
    """Keeps this process, and those it starts, on `count` processors (0: all there are); returns how many these are.

    JAX, SimpleITK and PyTorch take as many threads as the processors that they may use.
    """
    usable = sorted(os.sched_getaffinity(0))
    chosen = usable[: count or len(usable)]
    os.sched_setaffinity(0, chosen)
    os.environ |= {
        "OMP_NUM_THREADS": str(len(chosen)),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(len(chosen)),
        "OMP_WAIT_POLICY": "passive",  # a thread that spins while another library works would be paid for
    }
    return len(chosen)
