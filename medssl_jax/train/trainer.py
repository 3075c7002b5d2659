"""The trainer, the same for every method: `Trainer(...).train()`."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grain
import jax
import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.parallel import hosts
from medssl_jax.parallel.determinism import refusals_explained
from medssl_jax.parallel.sharding import DataParallel
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.records import Records
from medssl_jax.steps.state import TrainState
from medssl_jax.steps.step_metrics import StepMetrics, mean_metrics
from medssl_jax.train.preemption import Preempted, Stop, preemption_notice
from medssl_jax.train.validation import OpenValidation, Validation


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The number of steps of a run, and those that are logged and saved.

    The last one always is both, and so are `turns`, after which the run is no longer what it was.
    """

    steps: int
    log_every: int
    save_every: int
    turns: tuple[int, ...] = ()

    def logs(self, step: int) -> bool:
        """True for a step whose metrics are fetched and written."""
        return step % self.log_every == 0 or step in (self.steps, *self.turns)

    def saves(self, step: int) -> bool:
        """True for a step after which the run is saved."""
        return step % self.save_every == 0 or step in (self.steps, *self.turns)


@dataclasses.dataclass(frozen=True)
class Batches:
    """The batches of a run by their position in the stream: `host_rows` has the rows of this host.

    `names_at` gives the names of all rows of a batch, by part. `threads` read up to `fetched_ahead` batches beforehand.
    """

    host_rows: grain.MapDataset
    names_at: Callable[[int], Mapping[str, Sequence[str]]]
    threads: int
    fetched_ahead: int

    def __iter__(self) -> grain.DatasetIterator:
        """An iterator from the first batch on, whose position can be saved and set."""
        options = grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=self.fetched_ahead)
        return iter(self.host_rows.to_iter_dataset(options))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """A training run of any method, as its parts. It trains once: `train` closes the checkpoints."""

    init_state: Callable[[], TrainState]  # before the first step, the same on every host
    train_step: jax.stages.Wrapped  # (state, batch) -> (state, metrics), jitted by `sharding.jit_step`
    batches: Batches
    sharding: DataParallel
    schedule: Schedule
    checkpoints: Checkpoints
    records: Records
    stop: Stop = preemption_notice
    finish: Callable[[TrainState], TrainState] | None = None  # of the last state, before it is logged and saved
    validation: Validation | None = None  # due only at steps that are logged and saved

    def train(self) -> TrainState:
        """Trains to the last step, from the newest checkpoint if there is one, and returns the state on every host.

        State, position in the stream and metrics not yet written are saved together, before the next batch is drawn.
        Metrics are fetched only where they are logged, or the run is about to stop. Raises `Preempted` once the run is
        saved where `stop` asks for it. Raises `InputError` before anything is saved where a metric is not finite, such
        as the loss or the norm of the gradient, and keeps the batch: the message names its file, step and rows.
        """
        steps = self.schedule.steps
        if self.sharding.device_count < jax.device_count():
            hosts.say(
                f"{self.sharding.device_count} of {jax.device_count()} devices share the batch: no more of them divide "
                "it evenly"
            )
        with self.stop() as must_stop, contextlib.closing(self.checkpoints), refusals_explained():
            state, batches, pending = self._resume()
            step = int(state.step)
            compiled: jax.stages.Compiled | None = None
            with contextlib.ExitStack() as opened:
                records = self.records.open(self.sharding.devices, resume_step=step)
                opened.enter_context(contextlib.closing(records))
                validation = self._open_validation(state, step)
                opened.enter_context(contextlib.closing(validation) if validation else contextlib.nullcontext())
                if step:
                    hosts.say(f"resumed at step {step} of {steps}")
                while step < steps:
                    rows = next(batches)
                    batch = self.sharding.shard_batch(rows)
                    if compiled is None:
                        compiled = self._compile(state, batch)
                    state, metrics = compiled(state, batch)
                    step += 1
                    pending.append(metrics)
                    if step == steps and self.finish is not None:
                        state = self.sharding.replicate(self.finish(self.sharding.host_local(state)))
                    stopping = must_stop(step) and step < steps
                    if stopping or self.schedule.logs(step):
                        pending = jax.device_get(pending)
                        self._check_finite(step, pending)
                    if self.schedule.logs(step):
                        means = mean_metrics(pending)
                        if validation and validation.is_due(step, steps):
                            means |= validation(step, self.sharding.host_local(state), state)
                        records.log(step, means, rows, state)
                        pending = []
                    if stopping or self.schedule.saves(step):
                        self.checkpoints.save(state, batches.get_state(), pending=jax.device_get(pending))
                    if stopping:
                        raise Preempted(
                            f"stopped by SIGTERM after step {step} of {steps}, which is saved: start it again to go on"
                        )
        return self.sharding.host_local(state)

    def _resume(self) -> tuple[TrainState, grain.DatasetIterator, list[StepMetrics]]:
        """State, stream and metrics not yet written of the newest checkpoint, or of a run that begins."""
        batches = iter(self.batches)
        if self.checkpoints.latest_step is None:
            return self.sharding.replicate(self.init_state()), batches, []
        restored = self.checkpoints.restore(self.sharding.abstract_state(jax.eval_shape(self.init_state)))
        assert restored is not None  # or an error said why
        batches.set_state(dict(restored.data_position))
        return restored.state, batches, list(restored.pending)

    def _open_validation(self, state: TrainState, step: int) -> OpenValidation | None:
        if self.validation is None:
            return None
        return self.validation.open(self.sharding.abstract_state(state), resume_step=step)

    def _compile(self, state: TrainState, batch: Any) -> jax.stages.Compiled:
        hosts.say("compiling the training step: seconds to minutes, the first time")
        # A state that was restored is bound to its devices, a new one is not: shapes give both the same program.
        compiled = self.train_step.lower(self.sharding.abstract_state(state), batch).compile()
        hosts.wait_for_all("compiled")  # the first exchange would not wait long for the slowest host
        return compiled

    def _check_finite(self, step: int, pending: Sequence[StepMetrics]) -> None:
        """Raises `InputError` for the first of the steps up to `step` that has a metric which is not finite."""
        for number, metrics in enumerate(pending, step - len(pending) + 1):
            means = mean_metrics([metrics])
            if np.isfinite(list(means.values())).all():
                continue
            shown = [name for name, value in means.items() if name.startswith("loss") or not np.isfinite(value)]
            parts = ", ".join(f"{name} {means[name]:.4g}" for name in shown)
            kept = self.records.keep_batch(number, self.batches.host_rows[number - 1])
            names = self.batches.names_at(number - 1)
            rows = "; ".join(f"{part}: {', '.join(names[part])}" for part in names)
            raise InputError(
                f"the loss or its gradient is not finite at step {number} ({parts}): lower optimiser.learning_rate or "
                f"check the data; the last checkpoint is untouched; that step's batch is kept in {kept} ({rows})"
            )
