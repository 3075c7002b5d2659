"""Soft pseudo-labels of unlabelled patches: the model's own prediction, averaged over views and sharpened.

FocalMix (arXiv 2003.09108), after MixMatch (arXiv 1905.02249).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import logit
from jaxtyping import Array, Bool, Float, Int

from medssl_jax.detection import symmetries
from medssl_jax.detection.anchors import AnchorGrid
from medssl_jax.detection.prediction import Prediction

Patches = Float[Array, "b s s s c"]


def sharpen(probability: Float[Array, "*n"], temperature: float) -> Float[Array, "*n"]:
    """q^(1/T) / (q^(1/T) + (1-q)^(1/T)): pushes a probability away from 1/2 where T < 1 (FocalMix, as MixMatch)."""
    return jax.nn.sigmoid(logit(probability) / temperature)


def sure_targets(
    probability: Float[Array, "b anchors"],
    positives: Float[Array, ""],
    *,
    positive_from: float,
    background_below: float,
) -> tuple[Float[Array, "b anchors"], Bool[Array, "b anchors"]]:
    """Targets only where a guess is sure, and which anchors are taken for nodules; our rule, near Dense Teacher's.

    Of all anchors of the batch the `positives` with the highest probability get 1, if that is at least `positive_from`;
    those below `background_below` get 0; any other keeps its probability, from which nothing is learnt where the
    student agrees. Dense Teacher (arXiv 2207.02541) also ranks anchors instead of trusting a score.
    """
    count = jnp.round(positives).astype(jnp.int32)
    last = _ranked(probability, jnp.clip(count, 1, probability.size))
    is_up = (probability >= jnp.maximum(last, positive_from)) & (count > 0)
    return jnp.where(is_up, 1, jnp.where(probability < background_below, 0, probability)), is_up


def _ranked(values: Float[Array, "*n"], rank: Int[Array, ""]) -> Float[Array, ""]:
    """The value of that rank, 1 for the largest, among values of 0 or more.

    Found bit by bit, as such floats are ordered like the integers of the same bits: devices that share the values tell
    each other 31 counts, where a sort would bring all the values to each of them.
    """
    bits = jax.lax.bitcast_convert_type(values, jnp.int32)

    def settle_bit(place: Int[Array, ""], found: Int[Array, ""]) -> Int[Array, ""]:
        with_bit = found | (1 << (30 - place))
        return jnp.where((bits >= with_bit).sum() >= rank, with_bit, found)

    return jax.lax.bitcast_convert_type(jax.lax.fori_loop(0, 31, settle_bit, jnp.int32(0)), jnp.float32)


def average_views(
    predict: Callable[[Patches], Prediction],
    patches: Patches,
    views: symmetries.Symmetry,
    grid: AnchorGrid,
    *,
    at_once: int = 1,
) -> tuple[Float[Array, "b anchors"], Float[Array, "b anchors 4"]]:
    """Mean probability and mean box deltas of each anchor over the views of each patch.

    `views` holds one symmetry per row. Each view is predicted, brought back to the anchors of the patch as it came,
    and averaged: probabilities, not logits (FocalMix, figure 2). `at_once` views, a divisor of their number, are
    predicted as one batch and held in memory.
    """
    in_turns = jax.tree.map(lambda leaf: leaf.reshape(-1, at_once, *leaf.shape[1:]), views)

    def add_views(totals: Array, some: symmetries.Symmetry) -> tuple[Array, None]:
        each = [jax.tree.map(lambda leaf, place=place: leaf[place], some) for place in range(at_once)]
        # The views of a patch lie side by side, so that a device that has its row has all of them.
        turned = jnp.stack([symmetries.apply_to_voxels(patches, view) for view in each], 1)
        prediction = predict(turned.reshape(-1, *patches.shape[1:]))
        by_patch = jax.tree.map(lambda leaf: leaf.reshape(len(patches), at_once, *leaf.shape[1:]), prediction)
        for place, view in enumerate(each):
            deltas = symmetries.undo_on_deltas(by_patch.deltas[:, place], view)
            values = jnp.concatenate([jax.nn.sigmoid(by_patch.logits[:, place])[..., None], deltas], -1)
            totals = totals + symmetries.undo_on_anchors(values, view, grid)
        return totals, None

    totals = jnp.zeros((patches.shape[0], len(grid), 5), jnp.float32)
    totals, _ = jax.lax.scan(add_views, totals, in_turns)
    mean = totals / views.flips.shape[0]
    return mean[..., 0], mean[..., 1:]
