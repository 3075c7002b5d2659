"""Training metrics on disk: JSON lines to compute with, TensorBoard events to look at."""

import json
from collections.abc import Mapping
from pathlib import Path

from medssl_jax.atomic import atomic_path, writable_directory


class MetricsWriter:
    """Appends to `metrics.jsonl` and to TensorBoard events in the same folder.

    Lines after `resume_step` are those of a run that was cut off before it could save: they are dropped, since their
    steps are about to be run again.
    """

    def __init__(self, workdir: Path, *, resume_step: int):
        from tensorboardX import SummaryWriter

        self.path = writable_directory(workdir) / "metrics.jsonl"
        if self.path.exists():
            kept = [line for line in self.path.read_text().splitlines() if _step_of(line) <= resume_step]
            with atomic_path(self.path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept))
        self._events = SummaryWriter(str(workdir), purge_step=resume_step + 1)

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of one step; both files are on disk when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._events.add_scalar(name, value, step)
        self._events.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._events.close()


def _step_of(line: str) -> float:
    # A line cut short by a crash belongs to no step that was saved.
    try:
        return float(json.loads(line)["step"])
    except json.JSONDecodeError:
        return float("inf")
