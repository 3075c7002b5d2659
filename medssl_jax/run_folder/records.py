"""Everything that a run writes and prints beside its checkpoints; the first host does it for all."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from flax.traverse_util import flatten_dict

from medssl_jax.core.atomic import atomic_path
from medssl_jax.parallel import hosts
from medssl_jax.run_folder.metric_writer import MetricsWriter
from medssl_jax.run_folder.run_record import write_run_record
from medssl_jax.run_folder.tensor_hashes import HashWriter, StepHashes, join_rows, row_hashes, tensor_hashes

Watch = Callable[[int, StepHashes], None]


def nothing_to_warn(means: Mapping[str, float]) -> None:
    """Warns of nothing."""


def unwatched(step: int, hashes: StepHashes) -> None:
    """Watches nothing."""


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of a run in its workdir: `run.json`, metrics, hashes, progress, warnings, a batch that went wrong.

    `warn(means)` sees the metrics of each log step, and returns what a person should know, if anything. `watch(step,
    hashes)` sees the hashes of each log step, on every host.
    """

    workdir: Path
    config: ml_collections.ConfigDict
    warn: Callable[[Mapping[str, float]], str | None] = nothing_to_warn
    watch: Watch = unwatched

    def open(self, devices: Sequence[jax.Device], *, resume_step: int) -> "OpenRecords":
        """Writes `run.json` for a start on `devices`, and drops what was recorded of steps after `resume_step`."""
        if hosts.is_first():
            changes = write_run_record(self.workdir, self.config, devices=devices, resume_step=resume_step)
            if changes:
                print(
                    f"after step {resume_step} this run is not as before ({'; '.join(changes)}): the same batches, and "
                    "results equal to rounding, not to the bit"
                )
        return OpenRecords(self, resume_step)

    def keep_batch(self, step: int, rows: Any) -> Path:
        """Keeps this host's rows of the batch of a step in the workdir, and returns the file."""
        host = f"_host{hosts.index()}" if hosts.count() > 1 else ""
        path = self.workdir / f"not_finite_step{step}{host}.npz"
        with atomic_path(path) as temporary:
            np.savez(temporary, **flatten_dict(rows, sep="."))
        return path


class OpenRecords:
    """The records of a run that is under way."""

    def __init__(self, records: Records, resume_step: int):
        self._warn, self._watch = records.warn, records.watch
        self._pace = _Pace(resume_step, records.config.steps)
        self._metrics = MetricsWriter(records.workdir, resume_step=resume_step) if hosts.is_first() else None
        self._hashes = HashWriter(records.workdir, resume_step=resume_step) if hosts.is_first() else None

    def log(self, step: int, means: Mapping[str, float], rows: Any, state: Any) -> None:
        """Records a log step: the means of its metrics, this host's rows of its batch, the state after it."""
        if self._metrics:
            self._metrics(step, means)
        hashes = StepHashes(join_rows(hosts.gather(row_hashes(rows))), tensor_hashes(state))
        if self._hashes:
            self._hashes(step, hashes)
        self._watch(step, hashes)
        hosts.say(self._pace.line(step, means))
        if warning := self._warn(means):
            hosts.say(f"warning: {warning}")

    def close(self) -> None:
        """Completes the files."""
        if self._metrics:
            self._metrics.close()


class _Pace:
    """Steps per second since the last line, and the time left at that rate."""

    def __init__(self, step: int, steps: int):
        self._steps, self._last_step, self._last_time = steps, step, time.monotonic()

    def line(self, step: int, means: Mapping[str, float]) -> str:
        now = time.monotonic()
        rate = (step - self._last_step) / (now - self._last_time)
        self._last_step, self._last_time = step, now
        minutes, seconds = divmod(round((self._steps - step) / rate), 60)
        parts = "  ".join(f"{name} {means[name]:.4f}" for name in means if name.startswith("loss"))
        return f"step {step}/{self._steps}  {parts}  {rate:.2f} steps/s  {minutes}:{seconds:02d} left"
