"""Training metrics on disk: JSON lines to compute with, TensorBoard events to look at."""

from collections.abc import Mapping
from pathlib import Path

from medssl_jax.core.step_lines import StepLines


class MetricsWriter:
    """Appends to `metrics.jsonl` and to the TensorBoard events beside it, dropping what is later than `resume_step`."""

    def __init__(self, workdir: Path, *, resume_step: int):
        from tensorboardX import SummaryWriter

        self._lines = StepLines(workdir / "metrics.jsonl", resume_step=resume_step)
        self._events = SummaryWriter(str(workdir), purge_step=resume_step + 1)

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of one step: the line is on disk when this returns, the events soon after."""
        self._lines.append(step, values)
        for name, value in values.items():
            self._events.add_scalar(name, value, step)
        self._events.flush()

    def close(self) -> None:
        """Writes what is left of the events, closes their file and ends the threads that wrote it."""
        self._events.close()
