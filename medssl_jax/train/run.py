"""A training run in its workdir, whatever the method: the loop with its checkpoints, metrics and stream of batches."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import ml_collections
import numpy as np
from flax.traverse_util import flatten_dict

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.errors import InputError
from medssl_jax.parallel import hosts
from medssl_jax.parallel.sharding import DataParallel
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.determinism import refusals_explained
from medssl_jax.train.loop import train
from medssl_jax.train.metric_writer import MetricsWriter
from medssl_jax.train.preemption import preemption_notice
from medssl_jax.train.run_record import command_of, write_run_record
from medssl_jax.train.state import TrainState
from medssl_jax.train.tensor_hashes import HashWriter, StepHashes, join_rows, row_hashes, tensor_hashes

Watch = Callable[[int, StepHashes], None]


def unwatched(step: int, hashes: StepHashes) -> None:
    """Nobody looks at the hashes."""


def train_in(
    workdir: Path,
    config: ml_collections.ConfigDict,
    state: TrainState,
    batches: grain.MapDataset,
    step_function: jax.stages.Wrapped,
    sharding: DataParallel,
    *,
    threads: int,
    fetched_ahead: int,
    rows_of: Callable[[int], Mapping[str, Sequence[str]]],
    warn: Callable[[Mapping[str, float]], str | None] = lambda _: None,
    watch: Watch = unwatched,
) -> TrainState:
    """Trains to `config.steps`, from the newest checkpoint in `workdir` if there is one, and returns the final state.

    `step_function(state, batch)` is made by `sharding.jit_step`; `batches` are the rows of this host. `threads`
    read them, up to `fetched_ahead` batches beforehand. `rows_of` names all rows of the batch at a place in the stream:
    where a loss is not finite, they are told and the host's are kept. `watch` sees the hashes of each log step. Every
    host saves, and comes back with the state as arrays of its own; only the first writes anything else. Raises
    `Preempted` after a SIGTERM.
    """
    if sharding.device_count < jax.device_count():
        hosts.say(
            f"{sharding.device_count} of {jax.device_count()} devices share the batch: no more of them divide it evenly"
        )

    compiled: jax.stages.Compiled | None = None

    def placed_step(state, batch):
        nonlocal compiled
        batch = sharding.shard_batch(batch)
        if compiled is None:
            compiled = step_function.lower(state, batch).compile()
            hosts.wait_for_all("compiled")  # or the first exchange would not wait for the slowest for long
        return compiled(state, batch)

    def keep_batch(step):
        whose = f"_host{jax.process_index()}" if hosts.count() > 1 else ""
        path = workdir / f"not_finite_step{step}{whose}.npz"
        with atomic_path(path) as temporary:
            np.savez(temporary, **flatten_dict(batches[step - 1], sep="."))
        rows = "; ".join(f"{name}: {', '.join(rows)}" for name, rows in rows_of(step - 1).items())
        return f"; that step's batch is kept in {path} ({rows})"

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=fetched_ahead)
    checkpoints = Checkpoints(workdir / "checkpoints", keep=config.logging.keep_checkpoints)
    state = sharding.replicate(state)
    restored = checkpoints.restore(state)
    resume_step = int(restored.state.step) if restored else 0
    if hosts.is_first():
        changes = write_run_record(workdir, config, devices=sharding.devices, resume_step=resume_step)
        if changes:
            print(
                f"after step {resume_step} this run is not as before ({'; '.join(changes)}): the same batches, and "
                "results equal to rounding, not to the bit"
            )
    records = _Records(workdir, resume_step, watch)
    with preemption_notice() as must_stop:
        try:
            with refusals_explained():
                trained = train(
                    state,
                    iter(batches.to_iter_dataset(options)),
                    placed_step,
                    steps=config.steps,
                    checkpoints=checkpoints,
                    restored=restored,
                    config=config.to_dict(),
                    write_metrics=records.metrics,
                    log_every=config.logging.log_every,
                    save_every=config.logging.save_every,
                    warn=warn,
                    must_stop=must_stop,
                    keep_batch=keep_batch,
                    record=records.hashes,
                )
            return sharding.host_local(trained)
        finally:
            records.close()
            checkpoints.close()  # a notice that comes now waits until the last is on disk


class _Records:
    """Metrics and hashes of all hosts, which the first one writes."""

    def __init__(self, workdir: Path, resume_step: int, watch: Watch):
        self._watch = watch
        self._metrics = MetricsWriter(workdir, resume_step=resume_step) if hosts.is_first() else None
        self._hashes = HashWriter(workdir, resume_step=resume_step) if hosts.is_first() else None

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        if self._metrics:
            self._metrics(step, values)

    def hashes(self, step: int, batch: Any, state: Any) -> None:
        hashes = StepHashes(join_rows(hosts.gather(row_hashes(batch))), tensor_hashes(state))
        if self._hashes:
            self._hashes(step, hashes)
        self._watch(step, hashes)

    def close(self) -> None:
        if self._metrics:
            self._metrics.close()


def folder_of_checkpoints(checkpoint: Path) -> Path:
    """The folder `checkpoints` of a workdir, or the one given. Raises `InputError` where there is none."""
    folder = checkpoint / "checkpoints" if (checkpoint / "checkpoints").is_dir() else checkpoint
    if not folder.is_dir():
        raise InputError(f"{checkpoint}: no such folder, expected the --workdir of a training run")
    return folder


def load_run(
    checkpoint: Path, fresh_state: Callable[[ml_collections.ConfigDict], TrainState], *, command: str
) -> tuple[ml_collections.ConfigDict, TrainState]:
    """Config and state of a finished or running training, from its workdir or the folder `checkpoints` in it.

    Raises `InputError` where there is none, or it is no run of `command`.
    """
    checkpoints = Checkpoints(folder_of_checkpoints(checkpoint), read_only=True)
    config = ml_collections.ConfigDict(checkpoints.config())
    if command_of(config) != command:
        raise InputError(f"{checkpoint}: a run of another method, expected the --workdir of {command}")
    restored = checkpoints.restore(fresh_state(config))
    checkpoints.close()
    assert restored is not None  # or there would be no config
    return config, restored.state
