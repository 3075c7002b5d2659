"""The way to the first training step: importing, initialising, compiling, the step; without and with kept programs."""

import json
import os
import subprocess
import sys
import tempfile

from experiments.benchmarks.bench import Bench, Cost, Measurement
from experiments.benchmarks.training import DEFAULT_CONFIG, SMALL_CONFIG

SMALLEST = {"config": SMALL_CONFIG, "side": 32}


def measure(bench: Bench, *, config: str = DEFAULT_CONFIG, side: int = 64) -> list[Measurement]:
    """Pairs of processes, of which the second finds the programs that the first compiled."""
    pairs = []
    for _ in range(bench.pairs):
        with tempfile.TemporaryDirectory() as cache:
            pairs.append([_start(bench, config, side, cache) for _ in range(2)])
    cold, warm = zip(*pairs, strict=True)
    return [
        Measurement(f"{stage}, warm", [each[stage] for each in warm], "cold", [each[stage] for each in cold])
        for stage in cold[0]
    ]


def _start(bench: Bench, config: str, side: int, cache: str) -> dict[str, Cost]:
    """The cost of each stage, and of all of the process."""
    command = [sys.executable, "-m", "experiments.benchmarks.first_step", config, str(side)]
    kept = {"XDG_CACHE_HOME": cache}  # the user's own programs would make all starts warm
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    begin = bench.clock()
    done = subprocess.run(command, env=environment | kept, check=True, capture_output=True, text=True)
    end = bench.clock()
    stages = {name: Cost(*cost) for name, cost in json.loads(done.stdout.splitlines()[-1]).items()}
    return stages | {"all": Cost(end.wall - begin.wall, end.cpu - begin.cpu)}
