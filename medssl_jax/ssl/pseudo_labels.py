"""Soft pseudo-labels of unlabelled patches: the model's own prediction, averaged over views and sharpened.

FocalMix (arXiv 2003.09108), after MixMatch (arXiv 1905.02249).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import logit
from jaxtyping import Array, Float

from medssl_jax.detection import symmetries
from medssl_jax.detection.anchors import AnchorGrid
from medssl_jax.detection.prediction import Prediction

Patches = Float[Array, "b s s s c"]


def sharpen(probability: Float[Array, "*n"], temperature: float) -> Float[Array, "*n"]:
    """q^(1/T) / (q^(1/T) + (1-q)^(1/T)): pushes a probability away from 1/2 where T < 1 (FocalMix, as MixMatch)."""
    return jax.nn.sigmoid(logit(probability) / temperature)


def average_views(
    predict: Callable[[Patches], Prediction], patches: Patches, views: symmetries.Symmetry, grid: AnchorGrid
) -> tuple[Float[Array, "b anchors"], Float[Array, "b anchors 4"]]:
    """Mean probability and mean box deltas of each anchor over the views of each patch.

    `views` holds one symmetry per row. Each view is predicted, brought back to the anchors of the patch as it came,
    and averaged: probabilities, not logits (FocalMix, figure 2). One view at a time is held in memory.
    """

    def add_view(totals: Array, view: symmetries.Symmetry) -> tuple[Array, None]:
        prediction = predict(symmetries.apply_to_voxels(patches, view))
        deltas = symmetries.undo_on_deltas(prediction.deltas, view)
        values = jnp.concatenate([jax.nn.sigmoid(prediction.logits)[..., None], deltas], -1)
        return totals + symmetries.undo_on_anchors(values, view, grid), None

    totals = jnp.zeros((patches.shape[0], len(grid), 5), jnp.float32)
    totals, _ = jax.lax.scan(add_view, totals, views)
    mean = totals / views.flips.shape[0]
    return mean[..., 0], mean[..., 1:]
