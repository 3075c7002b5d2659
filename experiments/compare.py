"""Runs several configs with several seeds and prints one table: means over seeds, intervals, differences.

python -m experiments.compare --configs=configs/a.py,configs/b.py --seed=0 --seed=1 --seed=2 --workdir=runs/compare

A seed draws the labelled scans, the first parameters and the batches. Started again, training that is finished is kept.
Differences are to the first config, paired over the same test scans.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command, comparison
from medssl_jax.core.atomic import writable_directory
from medssl_jax.metrics.froc import FrocResult, PooledResult, paired_cpm_difference, pooled_over_runs
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.nodules.froc_figure import draw_froc
from medssl_jax.report.nodules.froc_tables import sensitivity_table

with epy.lazy_imports():
    from experiments.runs import focalmix_job

FLAGS = flags.FLAGS
comparison.define_flags(None, about="Configs of experiments.focalmix, the baseline first.")
_COMPILATION_CACHE = command.define_compilation_cache_flag()


def main(_: Sequence[str]) -> None:
    """Makes every run, then the table."""
    comparison.check_each_is_given_once()
    workdir = writable_directory(FLAGS.workdir)
    command.start_devices(keep_programs=_COMPILATION_CACHE.value)
    results = {Path(path).stem: [_run(path, seed, workdir) for seed in FLAGS.seed] for path in FLAGS.configs}
    rows: dict[str, FrocResult | PooledResult] = {name: pooled_over_runs(runs) for name, runs in results.items()}
    for name, runs in results.items():
        rows |= {f"  {name}, seed {seed}": run for seed, run in zip(FLAGS.seed, runs, strict=True)}
    baseline, *others = results
    lines = [sensitivity_table(rows, markdown=True), ""]
    for name in others:
        gain = paired_cpm_difference(results[name], results[baseline])
        lines.append(
            f"{name} - {baseline}: CPM {gain.difference:+.3f} (95 % interval {gain.low:+.3f} to {gain.high:+.3f})"
        )
    comparison.write_table(workdir, "\n".join(lines) + "\n")
    first = FLAGS.seed[0]
    write_figure(workdir / "froc.png", draw_froc({f"{name}, seed {first}": runs[0] for name, runs in results.items()}))


def _run(path: str, seed: int, workdir: Path) -> FrocResult:
    config = command.load_config(path)
    command.require_config_of("experiments.focalmix", config)
    comparison.set_run(config, seed)
    with comparison.announced_run(path, seed, workdir) as folder:
        return focalmix_job.run(config, folder)


if __name__ == "__main__":
    command.run(main)
