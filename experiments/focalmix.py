"""Trains FocalMix or its supervised baseline and scores it: python -m experiments.focalmix --config=configs/phantom.py.

Everything is written below --workdir; started again, the run goes on from its last checkpoint. Started on every host of
a cluster, all train together.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command

with epy.lazy_imports():
    from experiments.runs.focalmix import focalmix_job

_CONFIG = command.define_config_flag()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for checkpoints, metrics, marks and score.", required=True)
_DETERMINISTIC = command.define_deterministic_flag()
_COMPILATION_CACHE = command.define_compilation_cache_flag()


def main(_: Sequence[str]) -> None:
    """Prepares the data, trains, evaluates."""
    command.require_config_of("experiments.focalmix", _CONFIG.value)
    command.expect_data_of_config(_CONFIG.value, Path(_WORKDIR.value))
    command.start_devices(keep_programs=_COMPILATION_CACHE.value, deterministic=_DETERMINISTIC.value, shared=True)
    focalmix_job.run(_CONFIG.value, Path(_WORKDIR.value))


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main)
