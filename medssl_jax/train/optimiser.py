"""The optimiser of both methods."""

import dataclasses
import math
from typing import ClassVar

import optax

from medssl_jax.core.settings import SHARE, Settings, number, whole, within


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimiserSettings(Settings):
    """AdamW, its rate over the steps, and the average of the weights."""

    section: ClassVar[str] = "optimiser"
    learning_rate: float = within(number(0, 100, above=True))
    warmup_share: float = within(SHARE)
    b1: float = within(number(0, 1, below=True))
    b2: float = within(number(0, 1, below=True))
    weight_decay: float = within(number(0, 100))
    clip_norm: float = within(number(0, math.inf, above=True))
    ema_decay: float = within(number(0, 1, below=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccumulatingOptimiserSettings(OptimiserSettings):
    """Where inputs are too large for batches of them: some steps make one update."""

    accumulate: int = within(whole(1))


def make_optimiser(settings: OptimiserSettings, steps: int, *, accumulate: int = 1) -> optax.GradientTransformation:
    """AdamW behind a clip of the global gradient norm; the rate warms up linearly and falls by a cosine to zero.

    With `accumulate` above 1, that many steps give the mean of their gradients to one such update.
    """
    updates = steps // accumulate
    warmup = max(1, round(settings.warmup_share * updates))
    rate = optax.warmup_cosine_decay_schedule(0.0, settings.learning_rate, warmup, max(updates, warmup + 1))
    optimiser = optax.chain(
        optax.clip_by_global_norm(settings.clip_norm),
        optax.adamw(rate, b1=settings.b1, b2=settings.b2, weight_decay=settings.weight_decay),
    )
    return optimiser if accumulate == 1 else optax.MultiSteps(optimiser, accumulate).gradient_transformation()
