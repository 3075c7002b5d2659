"""A training run in its workdir, whatever the method: the loop with its checkpoints, metrics and stream of batches."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grain
import ml_collections
import numpy as np
from flax.traverse_util import flatten_dict

from medssl_jax.atomic import atomic_path
from medssl_jax.errors import InputError
from medssl_jax.metrics.writers import MetricsWriter
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.loop import Metrics, train
from medssl_jax.train.preemption import preemption_notice
from medssl_jax.train.state import TrainState


def train_in(
    workdir: Path,
    config: ml_collections.ConfigDict,
    state: TrainState,
    batches: grain.MapDataset,
    step_function: Callable[[Any, Any], tuple[Any, Metrics]],
    *,
    threads: int,
    fetched_ahead: int,
    rows_of: Callable[[int], Mapping[str, Sequence[str]]],
    warn: Callable[[Mapping[str, float]], str | None] = lambda _: None,
) -> TrainState:
    """Trains to `config.steps`, from the newest checkpoint in `workdir` if there is one, and returns the final state.

    `threads` read batches, up to `fetched_ahead` of them beforehand. `rows_of` names the rows of the batch at a place
    in the stream: where a loss is not finite, they are told and the batch is kept. Raises `Preempted` after a SIGTERM.
    """

    def keep_batch(step):
        path = workdir / f"not_finite_step{step}.npz"
        with atomic_path(path) as temporary:
            np.savez(temporary, **flatten_dict(batches[step - 1], sep="."))
        rows = "; ".join(f"{name}: {', '.join(rows)}" for name, rows in rows_of(step - 1).items())
        return f"; that step's batch is kept in {path} ({rows})"

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=fetched_ahead)
    checkpoints = Checkpoints(workdir / "checkpoints", keep=config.logging.keep_checkpoints)
    restored = checkpoints.restore(state)
    writer = MetricsWriter(workdir, resume_step=int(restored.state.step) if restored else 0)
    try:
        with preemption_notice() as must_stop:
            return train(
                state,
                iter(batches.to_iter_dataset(options)),
                step_function,
                steps=config.steps,
                checkpoints=checkpoints,
                restored=restored,
                config=config.to_dict(),
                write_metrics=writer,
                log_every=config.logging.log_every,
                save_every=config.logging.save_every,
                warn=warn,
                must_stop=must_stop,
                keep_batch=keep_batch,
            )
    finally:
        writer.close()
        checkpoints.close()


def load_run(
    checkpoint: Path, fresh_state: Callable[[ml_collections.ConfigDict], TrainState], *, section: str, command: str
) -> tuple[ml_collections.ConfigDict, TrainState]:
    """Config and state of a finished or running training, from its workdir or the folder `checkpoints` in it.

    Raises `InputError` where there is none, or its config has no `section`: then it is no run of `command`.
    """
    folder = checkpoint / "checkpoints" if (checkpoint / "checkpoints").is_dir() else checkpoint
    if not folder.is_dir():
        raise InputError(f"{checkpoint}: no such folder, expected the --workdir of a training run")
    checkpoints = Checkpoints(folder, read_only=True)
    config = ml_collections.ConfigDict(checkpoints.config())
    if section not in config:
        raise InputError(f"{checkpoint}: a run of another method, expected the --workdir of {command}")
    restored = checkpoints.restore(fresh_state(config))
    checkpoints.close()
    assert restored is not None  # or there would be no config
    return config, restored.state
