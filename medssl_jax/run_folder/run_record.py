"""`run.json`: what names a run, and all that its bits depend on besides.

A run is named by (git commit, config, seed, device kind and count): same name, same bits.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.errors import InputError
from medssl_jax.run_folder.environment import differences, environment_of

FILE_NAME = "run.json"
FORMAT = 3


class Session(NamedTuple):
    """The steps after `from_step` were computed in this `environment`."""

    from_step: int
    environment: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """The content of `run.json`.

    `split` is the content of `split.json`, which has the fingerprint of the
    data; None where none was drawn. `sessions` are the starts of the run: the first, and every later one that differed
    from the one before.
    """

    config: Mapping[str, Any]
    split: Mapping[str, Any] | None
    sessions: tuple[Session, ...]

    @property
    def command(self) -> str:
        """The module that was started."""
        command: str = self.config["command"]
        return command


def write_run_record(
    workdir: Path, config: ml_collections.ConfigDict, *, devices: Sequence[jax.Device], resume_step: int
) -> list[str]:
    """Writes `run.json` for a start of the run after `resume_step`, and says in what it differs from the start before.

    A start whose steps are all computed again is forgotten. Raises `InputError` where the folder has a `run.json` that
    is none.
    """
    path = workdir / FILE_NAME
    before = read_run_record(path).sessions if resume_step and path.exists() else ()
    sessions = [each for each in before if each.from_step < resume_step]
    now = environment_of(devices)
    changes = differences(sessions[-1].environment, now) if sessions else []
    if changes or not sessions:
        sessions.append(Session(resume_step, now))
    split = workdir / "split.json"
    fields = json.loads(config.to_json())
    content = {
        "format": FORMAT,
        "seed": fields["seed"],
        "config": fields,
        "split": json.loads(split.read_text()) if split.exists() else None,
        "sessions": [each._asdict() for each in sessions],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content | {"sha256": _digest(content)}, indent=1) + "\n")
    return changes


def read_run_record(path: Path) -> RunRecord:
    """Reads a `run.json`. Raises `InputError` for anything else."""
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise InputError(
                f"{path}: has format {content['format']}, expected {FORMAT}: read it with the version that wrote it"
            )
        sessions = tuple(Session(each["from_step"], each["environment"]) for each in content["sessions"])
        if not sessions or "command" not in content["config"]:
            raise ValueError("no sessions, or a config without its command")
        if content.pop("sha256") != _digest(content):
            raise ValueError("it was changed after it was written")
        return RunRecord(content["config"], content["split"], sessions)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected the run.json that a training run writes") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: not the run.json of a training run ({type(error).__name__}: {error}): copy it again"
        ) from error


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
