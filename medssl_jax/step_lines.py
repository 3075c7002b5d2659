"""JSON lines that a run writes as it goes, one a logged step, and goes on with when it is started again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medssl_jax.atomic import atomic_path, writable_directory


class StepLines:
    """Appends to a file `{"step": n, ...}` per line.

    Lines after `resume_step` are those of a run that was cut off before it could save: they are dropped, since their
    steps are about to be run again.
    """

    def __init__(self, path: Path, *, resume_step: int):
        self.path = writable_directory(path.parent) / path.name
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _step_of(line) <= resume_step]
            with atomic_path(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept))

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes the line of one step, which is in the file when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def _step_of(line: str) -> float:
    # A line cut short by a crash belongs to no step that was saved.
    try:
        return float(json.loads(line)["step"])
    except json.JSONDecodeError:
        return float("inf")
