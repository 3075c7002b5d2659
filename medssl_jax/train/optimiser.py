"""The optimiser of a config."""

import ml_collections
import optax


def make_optimiser(config: ml_collections.ConfigDict, steps: int) -> optax.GradientTransformation:
    """AdamW behind a clip of the global gradient norm; the rate warms up linearly and falls by a cosine to zero.

    With `accumulate` above 1, that many steps give the mean of their gradients to one such update.
    """
    accumulate = config.get("accumulate", 1)
    updates = steps // accumulate
    warmup = max(1, round(config.warmup_share * updates))
    rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(updates, warmup + 1))
    optimiser = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(rate, b1=config.b1, b2=config.b2, weight_decay=config.weight_decay),
    )
    return optimiser if accumulate == 1 else optax.MultiSteps(optimiser, accumulate).gradient_transformation()
