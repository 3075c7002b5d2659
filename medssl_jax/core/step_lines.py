"""JSON lines that a run writes as it goes, one a logged step, and goes on with when it is started again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from medssl_jax.core.atomic import atomic_path, writable_directory
from medssl_jax.core.errors import InputError


class StepLine(NamedTuple):
    """A line `{"step": n, ...}`: its step, all of its values, and itself."""

    step: int
    values: Mapping[str, Any]
    text: str


class StepLines:
    """Appends to a file `{"step": n, ...}` per line.

    Lines after `resume_step` are those of a run that was cut off before it could save: they are dropped, since their
    steps are about to be run again, and with them a last line that was cut short. Raises `InputError` for any other
    line that is not of a step after the one before: no crash leaves such a thing.
    """

    def __init__(self, path: Path, *, resume_step: int):
        self.path = writable_directory(path.parent) / path.name
        if path.exists():
            before, newline, last = path.read_bytes().rpartition(b"\n")
            content = before + newline + (last if _parsed(last) else b"")
            kept = [line.text for line in _in_order(content, path) if line.step <= resume_step]
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


def read_step_lines(path: Path) -> list[StepLine]:
    """The lines of such a file, by ascending step.

    Raises `InputError` for any that is none, one that was cut short included, and `OSError` where there is no file.
    """
    return _in_order(path.read_bytes(), path)


def _in_order(content: bytes, path: Path) -> list[StepLine]:
    found: list[StepLine] = []
    for number, text in enumerate(content.removesuffix(b"\n").split(b"\n") if content else (), 1):
        line = _parsed(text)
        last = found[-1].step if found else 0
        if line is None or line.step <= last:
            shown = text[:40].decode(errors="backslashreplace")
            raise InputError(
                f"{path}: line {number} is {shown!r}, expected a line of a step after {last}: copy the file again, or "
                "move it away and start the run again, which goes on from its last checkpoint"
            )
        found.append(line)
    return found


def _parsed(text: bytes) -> StepLine | None:
    try:
        line = text.decode()
        values = json.loads(line)
        step = values["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return StepLine(step, values, line) if type(step) is int else None
