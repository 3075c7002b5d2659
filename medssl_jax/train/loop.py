"""The training loop, the same for every method."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.parallel import hosts
from medssl_jax.train.checkpoint import Checkpoints, Restored
from medssl_jax.train.preemption import Preempted

Metrics = Mapping[str, tuple[Any, Any]]


@runtime_checkable
class Batches(Protocol):
    """A stream of batches that can tell and resume its place."""

    def __next__(self) -> Any: ...
    def get_state(self) -> dict[str, Any]: ...  # noqa: D102
    def set_state(self, state: dict[str, Any]) -> None: ...  # noqa: D102


def train(
    state: Any,
    batches: Batches,
    step_function: Callable[[Any, Any], tuple[Any, Metrics]],
    *,
    steps: int,
    checkpoints: Checkpoints,
    restored: Restored | None,
    config: Mapping[str, Any],
    write_metrics: Callable[[int, Mapping[str, float]], None],
    log_every: int,
    save_every: int,
    warn: Callable[[Mapping[str, float]], str | None] = lambda _: None,
    must_stop: Callable[[int], bool] = lambda _: False,
    keep_batch: Callable[[int], str] = lambda _: "",
    record: Callable[[int, Any, Any], None] = lambda *_: None,
) -> Any:
    """Trains up to `steps` steps, from `restored` if there is one, and returns the final state.

    `step_function(state, batch)` gives the next state and metrics as (sum, count), which are added up between log
    steps. State, place in the data and metrics not yet written are saved together, before the next batch is drawn; as
    soon as `must_stop(step)` says so too, and then `Preempted` is raised. A metric that is not finite, such as the loss
    or the norm of the gradient, stops the run before anything is saved, with an `InputError` that names the step and
    the parts of the loss, and ends with what `keep_batch` says of that step's batch. `warn` sees the metrics of each
    log step and may answer with what a person should know; `record` sees step, batch and state.
    """
    pending: list[Metrics] = []
    if restored is not None:
        state, pending = restored.state, list(restored.pending)
        batches.set_state(dict(restored.data_position))
        hosts.say(f"resumed at step {int(state.step)} of {steps}")
    step = int(state.step)
    pace = _Pace(step, steps)
    while step < steps:
        batch = next(batches)
        state, metrics = step_function(state, batch)
        step += 1
        pending.append(metrics)
        stopping = must_stop(step) and step < steps
        if stopping or step % log_every == 0 or step == steps:
            pending = jax.device_get(pending)
            _stop_unless_finite(step, pending, keep_batch)
        if step % log_every == 0 or step == steps:
            means = _means(pending)
            pending = []
            write_metrics(step, means)
            record(step, batch, state)
            hosts.say(pace.line(step, means))
            if warning := warn(means):
                hosts.say(f"warning: {warning}")
        if step % save_every == 0 or step == steps or stopping:
            checkpoints.save(state, batches.get_state(), config, pending=jax.device_get(pending))
        if stopping:
            raise Preempted(f"stopped by SIGTERM after step {step} of {steps}, which is saved: start it again to go on")
    return state


class _Pace:
    """Steps per second since the last line and the time left at that rate."""

    def __init__(self, step: int, steps: int):
        self._steps, self._last_step, self._last_time = steps, step, time.monotonic()

    def line(self, step: int, means: Mapping[str, float]) -> str:
        now = time.monotonic()
        rate = (step - self._last_step) / (now - self._last_time)
        self._last_step, self._last_time = step, now
        minutes, seconds = divmod(round((self._steps - step) / rate), 60)
        parts = "  ".join(f"{name} {means[name]:.4f}" for name in means if name.startswith("loss"))
        return f"step {step}/{self._steps}  {parts}  {rate:.2f} steps/s  {minutes}:{seconds:02d} left"


def _means(pending: list[Metrics]) -> dict[str, float]:
    totals = {name: np.sum([np.asarray(metrics[name]) for metrics in pending], 0) for name in pending[0]}
    return {name: float(total / count) for name, (total, count) in totals.items() if count}


def _stop_unless_finite(step, pending, keep_batch):
    """`pending` are the metrics of the steps up to `step`."""
    for number, metrics in enumerate(pending, step - len(pending) + 1):
        means = _means([metrics])
        if not np.isfinite(list(means.values())).all():
            shown = [name for name, value in means.items() if name.startswith("loss") or not np.isfinite(value)]
            parts = ", ".join(f"{name} {means[name]:.4g}" for name in shown)
            raise InputError(
                f"the loss or its gradient is not finite at step {number} ({parts}): lower optimiser.learning_rate or "
                f"check the data; the last checkpoint is untouched{keep_batch(number)}"
            )
