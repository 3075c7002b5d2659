"""The optimiser of a config."""

import ml_collections
import optax


def make_optimiser(config: ml_collections.ConfigDict, steps: int) -> optax.GradientTransformation:
    """AdamW behind a clip of the global gradient norm; the rate warms up linearly and falls by a cosine to zero."""
    warmup = max(1, round(config.warmup_share * steps))
    rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(steps, warmup + 1))
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(rate, b1=config.b1, b2=config.b2, weight_decay=config.weight_decay),
    )
