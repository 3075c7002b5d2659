"""JSON lines that a run writes as it goes, one a logged step, and goes on with when it is started again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medssl_jax.atomic import atomic_path, writable_directory
from medssl_jax.errors import InputError


class StepLines:
    """Appends to a file `{"step": n, ...}` per line.

    Lines after `resume_step` are those of a run that was cut off before it could save: they are dropped, since their
    steps are about to be run again.
    """

    def __init__(self, path: Path, *, resume_step: int):
        self.path = writable_directory(path.parent) / path.name
        if path.exists():
            lines = path.read_text(errors="replace").splitlines()
            kept = [line for line in lines if _step_of(line) <= resume_step]
            with atomic_path(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept))

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes the line of one step, which is in the file when this returns.

        Raises `InputError` where the disk does not take it; the next start drops what there is of it.
        """
        try:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written: {error.strerror}; free some space and start again, which goes on "
                "from the last checkpoint"
            ) from error


def _step_of(line: str) -> float:
    # A line cut short by a crash, or damaged, belongs to no step that was saved.
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
