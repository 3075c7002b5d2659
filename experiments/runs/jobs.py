"""The two jobs that a config can be for, FocalMix's and SOS's, to whoever treats the runs of both alike."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from experiments.runs import focalmix, sos, sos_job
from medssl_jax.core.errors import InputError
from medssl_jax.parallel.sharding import DataParallel
from medssl_jax.train.run_record import SECTIONS, command_of
from medssl_jax.train.state import TrainState


class Job(NamedTuple):
    """The work that a config of one `command` asks for.

    `run(config, workdir, watch=...)` is the whole job, `sharding(config, devices)` says who shares a batch. `files`
    are those of a finished run that another run of its name writes again, each with its part that holds no times.
    """

    command: str
    run: Callable[..., Any]
    check_config: Callable[[ml_collections.ConfigDict], None]
    sharding: Callable[[ml_collections.ConfigDict, Sequence[jax.Device]], DataParallel]
    fresh_state: Callable[[ml_collections.ConfigDict], TrainState]
    files: Mapping[str, Callable[[Path], bytes]]


_FOCALMIX = Job(
    command="experiments.focalmix",
    run=focalmix.run,
    check_config=focalmix.check_config,
    sharding=focalmix.sharding_of,
    fresh_state=focalmix.fresh_state,
    files=dict.fromkeys(("metrics.jsonl", "split.json", "submission.csv", "froc.json"), Path.read_bytes),
)
_SOS = Job(
    command="experiments.sos",
    run=sos_job.run,
    check_config=sos.check_config,
    sharding=sos.sharding_of,
    fresh_state=sos.fresh_state,
    files=dict.fromkeys(("metrics.jsonl", "split.json"), Path.read_bytes) | {"results.json": sos_job.slides_in},
)
JOBS = {job.command: job for job in (_FOCALMIX, _SOS)}


def job_of(config: Container[str]) -> Job:
    """The job that a config is for. Raises `InputError` for a config of no training run."""
    command = command_of(config)
    if command is None:
        raise InputError(
            f"the config has no section {' or '.join(SECTIONS.values())}, so it is none of a training run: give one of "
            f"{' or '.join(SECTIONS)}"
        )
    return JOBS[command]
