"""The two jobs that a config can be for, FocalMix's and SOS's, to whoever treats the runs of both alike."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from experiments.runs.focalmix import focalmix_job
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.sos import sos_job, sos_training
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.parallel.sharding import DataParallel
from medssl_jax.steps.run_settings import RunSettings


class Job(NamedTuple):
    """The work that a config asks for, which `kind` reads.

    `run(config, workdir, watch=...)` is the whole job, `sharding(settings, devices)` says who shares a batch. `files`
    are those of a finished run that another run of its name writes again, each with its part that holds no times.
    """

    kind: type[RunSettings]
    run: Callable[..., Any]
    sharding: Callable[[Any, Sequence[jax.Device]], DataParallel]
    files: Mapping[str, Callable[[Path], bytes]]

    @property
    def command(self) -> str:
        """The module that is started."""
        return self.kind.COMMAND

    def settings(self, config: ml_collections.ConfigDict | Mapping[str, Any]) -> RunSettings:
        """The settings of a config. Raises `InputError` for one that is not sound."""
        return settings_from(self.kind, config)


_FOCALMIX = Job(
    kind=FocalMixConfig,
    run=focalmix_job.run,
    sharding=focalmix_job.sharding_of,
    files=dict.fromkeys(("metrics.jsonl", "split.json", "submission.csv", "froc.json"), Path.read_bytes),
)
_SOS = Job(
    kind=SosConfig,
    run=sos_job.run,
    sharding=sos_training.sharding_of,
    files=dict.fromkeys(("metrics.jsonl", "split.json"), Path.read_bytes) | {"results.json": sos_job.slides_in},
)
JOBS = {job.command: job for job in (_FOCALMIX, _SOS)}


def job_of(config: ml_collections.ConfigDict | Mapping[str, Any]) -> Job:
    """The job that a config is for. Raises `InputError` for a config of no training run."""
    command = config.get("command")
    if not isinstance(command, str) or command not in JOBS:
        found = "absent" if command is None else f"{command!r}"
        raise InputError(
            f"config field command is {found}, expected {' or '.join(JOBS)}: give a config of a training run"
        )
    return JOBS[command]
