"""A run that was trained before: its config and state."""

from collections.abc import Callable
from pathlib import Path

import ml_collections

from medssl_jax.core.errors import InputError
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.run_record import command_of
from medssl_jax.train.state import TrainState


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
    checkpoints = Checkpoints(folder_of_checkpoints(checkpoint))
    config = ml_collections.ConfigDict(checkpoints.config())
    if command_of(config) != command:
        raise InputError(f"{checkpoint}: a run of another method, expected the --workdir of {command}")
    restored = checkpoints.restore(fresh_state(config))
    checkpoints.close()
    assert restored is not None  # or there would be no config
    return config, restored.state
