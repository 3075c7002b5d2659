"""The way of a process from its start to its first training step: `python -m ... CONFIG SIDE` prints its cost.

In a process of its own, for what is imported and compiled once stays.
"""

import json
import sys

from experiments.benchmarks.bench import Cost, clock


def main(config: str, side: int) -> dict[str, Cost]:
    """The cost of each stage."""
    costs, begin = {}, clock()

    def lap(stage: str) -> None:
        nonlocal begin
        now = clock()
        costs[stage], begin = Cost(now.wall - begin.wall, now.cpu - begin.cpu), now

    import jax

    from experiments.benchmarks.training import noise_batch, settings_at
    from experiments.runs.focalmix.focalmix_job import jitted_step
    from medssl_jax.train.compilation_cache import keep_programs

    lap("import")
    keep_programs()
    settings = settings_at(config, side, unlabelled=1)
    state, batch = jax.block_until_ready(jax.jit(settings.fresh_state)()), noise_batch(settings)
    lap("init")
    step = jitted_step(settings).lower(state, batch).compile()
    lap("compile")
    jax.block_until_ready(step(state, batch))
    lap("first step")
    return costs


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
