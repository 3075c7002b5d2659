"""Trained weights without what training needs beside them: from a run's checkpoints, or from one file to hand on.

The file is in safetensors' format: parameters named as in the network, `/` between levels; in its metadata, under
`medssl_jax`, the config, the step, what was measured of the data and what is known of its use as JSON, with a SHA-256
of all the file holds.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic

import jax
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.errors import InputError
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.experience import NOTHING_KNOWN, Experience, experience_of
from medssl_jax.run_folder.load_run import Config, load_run, settings_and_state
from medssl_jax.run_folder.weights_place import expect_weights, folder_of_best, folder_of_checkpoints, is_weights_file

REMEDY = "copy it again, or export it again from its run"
ENTRY = "medssl_jax"  # the only one: several would be written in any order


@dataclasses.dataclass(frozen=True)
class TrainedWeights(Generic[Config]):
    """What a training ended in: its config, as it was given and as it is read, what was measured, the parameters.

    `about` is what whoever uses them is to be told, in a line; the weights of a run have nothing to tell. `experience`
    is what the run knows of scans that it was trained and validated on.
    """

    config: Mapping[str, Any]
    settings: Config
    measured: Mapping[str, Any]
    step: int
    params: Any
    about: str = ""
    experience: Experience = NOTHING_KNOWN


def load_weights(checkpoint: str | os.PathLike[str], kind: type[Config]) -> TrainedWeights[Config]:
    """The weights of a file, or of a run: those that its score is of, from its workdir or a folder `checkpoints`.

    Raises `InputError` where there are none, they are damaged, of another method, or their config does not load any
    more.
    """
    path = Path(checkpoint)
    expect_weights(path)
    if is_weights_file(path):
        return _read(path, kind)
    run = load_run(path, kind)
    if run.settings.scores_best:
        run = load_run(folder_of_best(path), kind)
    step, params = int(run.state.step), run.state.params_to_evaluate
    experience = experience_of(folder_of_checkpoints(path).absolute().parent, step)
    return TrainedWeights(run.config, run.settings, run.measured, step, params, experience=experience)


def write_weights(path: str | os.PathLike[str], weights: TrainedWeights[Any]) -> None:
    """Writes the file. Of paths in its config, which are of this machine, the last name is kept."""
    named = traverse_util.flatten_dict(weights.params, sep="/")
    arrays = {name: np.asarray(array) for name, array in sorted(named.items())}
    told = {"config": _without_folders(weights.config), "measured": weights.measured, "step": weights.step}
    told |= {"about": weights.about, **weights.experience.as_json()}
    entry = json.dumps(told | {"sha256": _sha256(arrays, told)}, sort_keys=True)
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(save(arrays, {ENTRY: entry}))  # `save_file` lets nobody but the owner read it


def config_of(checkpoint: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The config of a file of weights or of a run, of whichever method. Raises `InputError` as `load_weights` does."""
    path = Path(checkpoint)
    expect_weights(path)
    if is_weights_file(path):
        return _told(path)[1]["config"]
    checkpoints = Checkpoints(folder_of_checkpoints(path))
    config = checkpoints.config()
    checkpoints.close()
    return config


def _read(path: Path, kind: type[Config]) -> TrainedWeights[Config]:
    arrays, told = _told(path)
    config, measured = told["config"], told["measured"]
    settings, state = settings_and_state(path, config, measured, kind)
    expected = traverse_util.flatten_dict(state.params, sep="/")
    shapes = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if shapes != {name: (array.shape, array.dtype) for name, array in expected.items()}:
        raise InputError(f"{path}: its parameters are not those of its config: use the version that wrote it")
    params = traverse_util.unflatten_dict(jax.device_put(arrays, jax.local_devices()[0]), sep="/")
    about, experience = told["about"], Experience.from_json(told)
    return TrainedWeights(config, settings, measured, told["step"], params, about, experience)


def _told(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The parameters of a file, and what it says of them, which is whole."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no readable file of weights ({error}): {REMEDY}") from None
    if ENTRY not in metadata:
        raise InputError(f"{path}: safetensors of something else, expected weights that experiments.export wrote")
    try:
        told = json.loads(metadata[ENTRY])
        is_whole = told.pop("sha256") == _sha256(arrays, told)
    except (ValueError, LookupError, AttributeError, TypeError):  # no JSON, or of another shape
        is_whole = False
    if not is_whole:
        raise InputError(f"{path}: damaged, its SHA-256 is not the one that it says: {REMEDY}")
    return arrays, told


def _without_folders(value: Any) -> Any:
    """A config with the last name of each path in it."""
    if isinstance(value, Mapping):
        return {name: _without_folders(part) for name, part in value.items()}
    return Path(value).name if isinstance(value, str) else value


def _sha256(arrays: Mapping[str, np.ndarray], told: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()
