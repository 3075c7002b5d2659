"""Metrics of training steps: sums and counts, so that those of many steps or devices add up exactly."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# By name, (sum, count): scalars on a device, or on this host once they have been fetched.
StepMetrics = dict[str, tuple[Any, Any]]


def of_step(value: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """A metric that a step has once, such as its loss: the sum and count of that one value."""
    return value, jnp.ones(())


def mean_metrics(steps: Sequence[StepMetrics]) -> dict[str, float]:
    """The mean of each metric over one or more steps; a metric without any count is left out."""
    totals = {name: np.sum([np.asarray(metrics[name]) for metrics in steps], 0) for name in steps[0]}
    return {name: float(total / count) for name, (total, count) in totals.items() if count}
