"""A run that was trained before: its config and state."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.parallel.sharding import on_first_device
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.weights_place import folder_of_checkpoints
from medssl_jax.steps.run_settings import RunSettings
from medssl_jax.steps.state import TrainState

Config = TypeVar("Config", bound=RunSettings)
MEASURED = "measured"  # what was measured of the data, beside the sections of a checkpoint's config


def settings_and_state(
    checkpoint: Path, config: Mapping[str, Any], measured: Mapping[str, Any], kind: type[Config]
) -> tuple[Config, TrainState]:
    """What the config of a run says, and the shapes of its state. Raises `InputError` for another method or version."""
    if config.get("command", kind.COMMAND) != kind.COMMAND:
        raise InputError(f"{checkpoint}: a run of another method, expected the --workdir of {kind.COMMAND}")
    try:
        settings = settings_from(kind, config)
        return settings, jax.eval_shape(functools.partial(settings.fresh_state, measured))
    except InputError as error:
        raise InputError(
            f"{checkpoint}: a run of another version, whose config does not load here ({error}): use the version that "
            "trained it, or train again"
        ) from None


@dataclasses.dataclass(frozen=True)
class LoadedRun(Generic[Config]):
    """A finished or running training: its config, as it was given and as it is read, what was measured, its state."""

    config: Mapping[str, Any]
    settings: Config
    measured: Mapping[str, Any]
    state: TrainState


def load_run(checkpoint: Path, kind: type[Config]) -> LoadedRun[Config]:
    """A training from its workdir or the folder `checkpoints` in it; its state lies on the first device of this host.

    Raises `InputError` where there is none, it is one of another method, or its config does not load any more.
    """
    checkpoints = Checkpoints(folder_of_checkpoints(checkpoint))
    config = checkpoints.config()
    measured = config.pop(MEASURED, {})
    settings, state = settings_and_state(checkpoint, config, measured, kind)
    restored = checkpoints.restore(on_first_device(state))
    checkpoints.close()
    assert restored is not None  # or there would be no config
    return LoadedRun(config, settings, measured, restored.state)
