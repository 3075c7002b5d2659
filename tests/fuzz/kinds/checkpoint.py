"""Two checkpoints of a run: bytes of orbax's files, values of the JSON among them, files and steps that are gone."""

import contextlib
import dataclasses
import io
import shutil
from pathlib import Path
from typing import ClassVar

import jax
import ml_collections
import numpy as np
import optax
import orbax.checkpoint  # noqa: F401 - imported once, or each input would wait for it

from medssl_jax.core.settings import each, whole, within
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.load_run import load_run
from medssl_jax.steps.run_settings import RunSettings
from medssl_jax.steps.state import TrainState
from tests.fuzz.damage import damage_json, damage_one_of, other_text
from tests.fuzz.oracle import SAME, Wrong, difference_between

VARIANTS = ("two steps",)
CONFIG = {
    "command": "experiments.small",
    "logging": {"log_every": 4, "save_every": 4, "keep_checkpoints": 2, "bootstraps": 10},
    "seed": 0,
    "steps": 8,
    "strides": (4, 8),
}
STEPS = (4, 8)
STEP_BEFORE = "the checkpoint before was taken instead, which is whole"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallConfig(RunSettings):
    """What `CONFIG` says."""

    COMMAND: ClassVar[str] = "experiments.small"
    strides: tuple[int, ...] = within(each(whole(1)))

    def fresh_state(self, measured) -> TrainState:
        """The state that `make` saves, before its first step."""
        return _state(0)


def make(folder: Path, variant: str) -> None:
    """Saves two steps as training does."""
    checkpoints = Checkpoints(folder / "checkpoints", config=CONFIG)
    for step in STEPS:
        checkpoints.save(_state(step), _position(step), pending=_pending(step))
        checkpoints.close() if step == STEPS[-1] else None


def mutate(folder: Path, variant: str, rng) -> str:
    """Mostly of the newest step, so that the one before is there; now and then of both."""
    steps = sorted(path for path in (folder / "checkpoints").iterdir() if path.is_dir())
    way = rng.choice(("bytes", "bytes", "bytes", "json", "json", "folder", "both"))
    if way == "both":
        return ", ".join(damage_one_of(_files(step), rng) for step in steps)
    step = steps[0] if rng.random() < 0.1 else steps[-1]
    if way == "bytes":
        return f"{step.name}: {damage_one_of(_files(step), rng)}"
    if way == "json":
        return f"{step.name}: {damage_json(rng.choice([path for path in _files(step) if _is_json(path)]), rng)}"
    part = rng.choice([path for path in step.rglob("*") if path.is_dir()] + [step])
    if rng.random() < 0.5:
        shutil.rmtree(part)
        return f"{part.relative_to(folder)} removed"
    name = other_text(part.name, rng).replace("/", "_").replace("\0", "_")[:100].strip(".") or "9"
    part.rename(part.with_name(name))
    return f"{part.relative_to(folder)} renamed {name}"


def read(folder: Path):
    """Config, weights and place in the data, by the two ways that commands go; and what they say meanwhile."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        run = load_run(folder, SmallConfig)
        checkpoints = Checkpoints(folder / "checkpoints")
        restored = checkpoints.restore(_state(0))
        checkpoints.close()
    return {
        "said": said.getvalue(),
        "config": run.config,
        "loaded": _arrays(run.state),
        "state": _arrays(restored.state),
        "position": dict(restored.data_position),
        "pending": [dict(each) for each in restored.pending],
    }


def judge(damaged: Path, valid: Path, reading) -> str:
    """What is read is what was saved, of one step or the other; that one was passed over is said."""
    said = reading.pop("said")
    differences = [difference_between(reading, _saved(step)) for step in STEPS]
    if all(differences):
        raise Wrong(f"neither checkpoint: {differences[-1]}")
    if differences[-1] and (damaged / "checkpoints" / str(STEPS[-1])).is_dir() and "passed over" not in said:
        raise Wrong("the checkpoint before was taken without a word")
    if said and not differences[-1]:
        raise Wrong(f"what is whole was read, but it said {said[:200]}")
    return STEP_BEFORE if differences[-1] else SAME


def _saved(step):
    config = ml_collections.ConfigDict(CONFIG).to_dict()
    config["strides"] = list(config["strides"])
    state = _arrays(_state(step))
    return {"config": config, "loaded": state, "state": state, "position": _position(step), "pending": _pending(step)}


def _state(step):
    rng = np.random.default_rng(step)
    params = {"layer": {"kernel": rng.normal(size=(40, 50)), "bias": rng.normal(size=50)}, "scale": rng.normal(size=())}
    state = TrainState.create(jax.tree.map(jax.numpy.float32, params), optax.adam(0.1), keep_ema=False)
    return state.replace(step=jax.numpy.int32(step))


def _arrays(state):
    return jax.tree.map(np.asarray, jax.tree.leaves(state))


def _position(step):
    return {"next_index": step, "workers": {"a": 1}}


def _pending(step):
    return [{"loss": (np.float32(0.5 + step), np.float32(2))}]


def _files(step):
    return sorted(path for path in step.rglob("*") if path.is_file())


def _is_json(path):
    return path.read_bytes()[:1] in (b"{", b"[")
