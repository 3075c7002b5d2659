"""The optimiser of both methods."""

import dataclasses
import math
from typing import ClassVar

import optax

from medssl_jax.core.settings import SHARE, Settings, number, one_of, whole, within

COSINE, CONSTANT = "cosine", "constant"  # what the rate does after the warm-up


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimiserSettings(Settings):
    """AdamW, its rate over the steps, and the average of the weights."""

    section: ClassVar[str] = "optimiser"
    learning_rate: float = within(number(0, 100, above=True))
    warmup_share: float = within(SHARE)
    b1: float = within(number(0, 1, below=True))
    b2: float = within(number(0, 1, below=True))
    weight_decay: float = within(number(0, 100))
    schedule: str = within(one_of((COSINE, CONSTANT)))
    clip_norm: float = within(number(0, math.inf, above=True))
    ema_decay: float = within(number(0, 1, below=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccumulatingOptimiserSettings(OptimiserSettings):
    """Where inputs are too large for batches of them: some steps make one update."""

    accumulate: int = within(whole(1), default=1)


def learning_rate(settings: OptimiserSettings, updates: int) -> optax.Schedule:
    """The rate of each of so many updates, by its number from 0."""
    warmup = max(1, round(settings.warmup_share * updates))
    if settings.schedule == CONSTANT:
        return optax.warmup_constant_schedule(0.0, settings.learning_rate, warmup)
    return optax.warmup_cosine_decay_schedule(0.0, settings.learning_rate, warmup, max(updates, warmup + 1))


def make_optimiser(settings: OptimiserSettings, steps: int, *, accumulate: int = 1) -> optax.GradientTransformation:
    """AdamW behind a clip of the global gradient norm; the rate warms up linearly, then falls by a cosine or stays.

    With `accumulate` above 1, that many steps give the mean of their gradients to one such update.
    """
    updates = steps // accumulate
    rate = learning_rate(settings, updates)
    optimiser = optax.chain(
        optax.clip_by_global_norm(settings.clip_norm),
        optax.adamw(rate, b1=settings.b1, b2=settings.b2, weight_decay=settings.weight_decay),
    )
    return optimiser if accumulate == 1 else optax.MultiSteps(optimiser, accumulate).gradient_transformation()
