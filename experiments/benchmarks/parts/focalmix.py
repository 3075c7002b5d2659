"""FocalMix's training step beside the supervised one, and beside what its arithmetic asks for.

One labelled patch, and one unlabelled one more. The arithmetic is XLA's count of operations.
"""

import jax

from experiments.benchmarks.bench import Bench, Measurement
from experiments.benchmarks.training import (
    DEFAULT_CONFIG,
    SMALL_CONFIG,
    dtypes_here,
    flops_of,
    going_on,
    noise_batch,
    noise_patches,
    settings_at,
)
from experiments.runs.focalmix.focalmix_job import jitted_step

SMALLEST = {"config": SMALL_CONFIG, "side": 32}


def measure(bench: Bench, *, config: str = DEFAULT_CONFIG, side: int = 64) -> list[Measurement]:
    """The pair; `over arithmetic` is the ratio of times over the ratio of operations, at best 1."""
    measured = []
    for dtype in dtypes_here():
        flops, steps = [], []
        for unlabelled in (1, 0):
            settings = settings_at(config, side, unlabelled=unlabelled, dtype=dtype)
            batch = jax.device_put(noise_batch(settings))
            state = settings.fresh_state()
            steps.append(going_on(jitted_step(settings), jax.tree.map(jax.numpy.copy, state), batch))
            counted = flops_of(jitted_step(settings), state, batch)
            if unlabelled:  # the views are a loop, of which one round is counted
                predict = settings.detector().predict
                counted += (settings.ssl.views - 1) * flops_of(predict, state.params, noise_patches(side, 1))
            flops.append(counted)
        found = bench.pair(f"FocalMix, 1 + 1 x {side}^3, {dtype}", steps[0], "supervised, 1 patch", steps[1])
        arithmetic = flops[0] / flops[1]
        kind = "cpu" if jax.default_backend() == "cpu" else "wall"
        over = found.ratio(kind).median / arithmetic
        measured.append(found.noting(**{"arithmetic ratio": arithmetic, "over arithmetic": over}))
    return measured
