"""Runs several configs with several seeds and prints one table: means over seeds, intervals, differences.

python -m experiments.compare --configs=configs/a.py,configs/b.py --seed=0 --seed=1 --seed=2 --workdir=runs/compare

A seed draws the labelled scans, the first parameters and the batches. Started again, training that is finished is kept.
Differences are to the first config, paired over the same test scans.
"""

import time
from pathlib import Path

import jax
from absl import flags

from experiments import command
from medssl_jax.atomic import atomic_path, writable_directory
from medssl_jax.errors import InputError
from medssl_jax.metrics.froc import paired_cpm_difference, pooled_over_runs
from medssl_jax.report.nodules.froc_figure import write_froc_figure
from medssl_jax.report.nodules.tables import result_row, sensitivity_table
from medssl_jax.runs import focalmix as focalmix_run

_CONFIGS = flags.DEFINE_list("configs", None, "Configs of experiments.focalmix, the baseline first.", required=True)
_SEEDS = flags.DEFINE_multi_integer(
    "seed", [0, 1, 2], "A seed to run each config with; given several times.", lower_bound=0
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the runs and the table.", required=True)
_STEPS = flags.DEFINE_integer("steps", None, "Instead of the configs' number of steps.", lower_bound=1)


def main(_) -> None:
    """Every run, then the table."""
    workdir = writable_directory(_WORKDIR.value)
    names = [Path(path).stem for path in _CONFIGS.value]
    if len(set(names)) < len(names) or len(set(_SEEDS.value)) < len(_SEEDS.value):
        raise InputError(
            f"--configs={','.join(_CONFIGS.value)} --seed={_SEEDS.value}: expected each name and seed once"
        )
    results = {}
    for path in _CONFIGS.value:
        name = Path(path).stem
        results[name] = [_run(path, seed, workdir / f"{name}_seed{seed}") for seed in _SEEDS.value]
    rows = [result_row(name, pooled_over_runs(runs)) for name, runs in results.items()]
    for name, runs in results.items():
        rows += [result_row(f"  {name}, seed {seed}", run) for seed, run in zip(_SEEDS.value, runs, strict=True)]
    baseline, *others = results
    lines = [sensitivity_table(rows, markdown=True), ""]
    for name in others:
        gain = paired_cpm_difference(results[name], results[baseline])
        lines.append(
            f"{name} - {baseline}: CPM {gain.difference:+.3f} (95 % interval {gain.low:+.3f} to {gain.high:+.3f})"
        )
    table = "\n".join(lines) + "\n"
    with atomic_path(workdir / "table.md") as temporary:
        temporary.write_text(table)
    first = _SEEDS.value[0]
    write_froc_figure(workdir / "froc.png", {f"{name}, seed {first}": runs[0] for name, runs in results.items()})
    print(f"\n{table}\nwritten to {workdir}")


def _run(path: str, seed: int, workdir: Path):
    config = command.load_config(path)
    command.require_section(config, "anchors", "experiments.focalmix")
    config.seed = config.split.seed = seed
    if _STEPS.value:
        config.steps = _STEPS.value
    start = time.monotonic()
    print(f"\n{path}, seed {seed}", flush=True)
    result = focalmix_run.run(config, workdir)
    print(f"{(time.monotonic() - start) / 60:.1f} minutes", flush=True)
    jax.clear_caches()
    return result


if __name__ == "__main__":
    command.run(main)
