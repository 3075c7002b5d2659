"""The flags, runs and table of a command that runs several configs with several seeds."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags
from etils import epy
from ml_collections import ConfigDict

from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    import jax

FLAGS = flags.FLAGS
# So that --help of each command lists them.
flags.disclaim_key_flags()


def define_flags(configs: Sequence[str], *, about: str) -> None:
    """`--configs`, which `configs` are the default of, `--seed`, `--workdir` and `--steps`."""
    flags.DEFINE_list("configs", configs, about)
    flags.DEFINE_multi_integer("seed", [0, 1, 2], "A seed to run each config with; given several times.", lower_bound=0)
    flags.DEFINE_string("workdir", None, "Folder for the runs and the table.", required=True)
    flags.DEFINE_integer("steps", None, "Instead of the configs' number of steps.", lower_bound=1)


def check_each_is_given_once() -> None:
    """Raises `InputError` where there is no config, two have the same name, or a seed is given twice."""
    names = [Path(path).stem for path in FLAGS.configs]
    if not names or not all(names):
        raise InputError(f"--configs={','.join(FLAGS.configs)}: expected configs, with a comma between two")
    if len(set(names)) < len(names) or len(set(FLAGS.seed)) < len(FLAGS.seed):
        raise InputError(f"--configs={','.join(FLAGS.configs)} --seed={FLAGS.seed}: expected each name and seed once")


def set_run(config: ConfigDict, seed: int) -> None:
    """Sets the seeds of a config, and its steps if the user gave any."""
    config.seed = config.split.seed = seed
    if FLAGS.steps:
        config.steps = FLAGS.steps


@contextlib.contextmanager
def announced_run(path: str, seed: int, workdir: Path) -> Iterator[Path]:
    """Says which run begins and, after it, how long it took; gives its folder, below `workdir`."""
    start = time.monotonic()
    print(f"\n{path}, seed {seed}", flush=True)
    yield workdir / f"{Path(path).stem}_seed{seed}"
    print(f"{(time.monotonic() - start) / 60:.1f} minutes", flush=True)
    jax.clear_caches()  # the next run compiles its own steps


def write_table(workdir: Path, table: str) -> None:
    """Writes `table.md` and prints it."""
    write_text(workdir / "table.md", table)
    print(f"\n{table}\nwritten to {workdir}")
