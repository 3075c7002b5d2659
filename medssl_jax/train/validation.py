"""Validation while a run trains: a measure of its state every so often, and the checkpoint that had the best."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from medssl_jax.parallel import hosts
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.steps.state import TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """What is measured every `every` steps and at the last one; the larger the better for `metric`.

    `measure(state)` is called on every host, with its arrays on that host, and gives the same metrics on all.
    """

    every: int
    measure: Callable[[TrainState], Mapping[str, float]]
    metric: str
    checkpoints: Checkpoints

    def open(self, like: Any, *, resume_step: int) -> "OpenValidation":
        """The validation of a run that goes on after `resume_step`: what was found later is found again."""
        self.checkpoints.drop_after(resume_step)
        best = self.checkpoints.restore(like)
        return OpenValidation(self, None if best is None else float(best.pending[0][self.metric][0]))


class OpenValidation:
    """The validation of a run that is under way, which knows the best so far."""

    def __init__(self, validation: Validation, best: float | None):
        self._validation, self._best = validation, best

    def is_due(self, step: int, steps: int) -> bool:
        """True for a step of a run of `steps` whose state is measured."""
        return step % self._validation.every == 0 or step == steps

    def __call__(self, step: int, local_state: TrainState, state: TrainState) -> Mapping[str, float]:
        """Measures the state after a step, and keeps it where it is better than every one before.

        The kept state is whole on disk before this returns, so that no later checkpoint of the run is without it.
        """
        validation = self._validation
        measured = validation.measure(local_state)
        value = float(np.float32(measured[validation.metric]))  # as checkpoints keep it
        if self._best is None or value > self._best:
            self._best = value
            validation.checkpoints.save(state, {}, pending=[{validation.metric: (value, 1.0)}])
            validation.checkpoints.wait()
        hosts.say(f"validation after step {step}: {validation.metric} {value:.3f}, the best so far {self._best:.3f}")
        return measured

    def close(self) -> None:
        """Closes the checkpoints."""
        self._validation.checkpoints.close()
