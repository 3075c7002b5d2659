"""Greedy non-maximum suppression (Felzenszwalb et al., 2010) of fixed shapes, so that it compiles with the network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from medssl_jax.detection.boxes import pairwise_iou_zyxdhw


class Detections(NamedTuple):
    """Boxes with scores, best first; rows that are not `valid` are padding."""

    boxes_zyxdhw: Float[Array, "*b m 6"]
    scores: Float[Array, "*b m"]
    valid: Bool[Array, "*b m"]


def suppress(
    boxes_zyxdhw: Float[Array, "n 6"],
    scores: Float[Array, " n"],
    *,
    iou_threshold: float,
    score_threshold: float,
    count: int,
) -> Detections:
    """Greedy NMS: keeps the best box, drops those that overlap it by more than `iou_threshold`, and so on.

    Boxes in voxels, or any one unit. At most `count` come back, all with a score of at least `score_threshold`.
    """

    def keep_best(remaining: Array, _: None) -> tuple[Array, Detections]:
        best = jnp.argmax(remaining)
        box, score = boxes_zyxdhw[best], remaining[best]
        overlap = pairwise_iou_zyxdhw(box[None], boxes_zyxdhw)[0]
        # The box itself goes by its index: without volume it would not even overlap itself.
        remaining = jnp.where(overlap > iou_threshold, -jnp.inf, remaining).at[best].set(-jnp.inf)
        valid = score > -jnp.inf
        return remaining, Detections(jnp.where(valid, box, 0), jnp.where(valid, score, 0), valid)

    remaining = jnp.where(scores >= score_threshold, scores, -jnp.inf)
    return jax.lax.scan(keep_best, remaining, length=count)[1]


def top_detections(
    logits: Float[Array, " anchors"],
    boxes_zyxdhw: Float[Array, "anchors 6"],
    *,
    candidates: int,
    iou_threshold: float,
    score_threshold: float,
    count: int,
) -> Detections:
    """The `count` best boxes of one patch, in voxels: of the `candidates` highest logits, what NMS leaves."""
    best_logits, index = jax.lax.top_k(logits, min(candidates, logits.shape[0]))
    return suppress(
        boxes_zyxdhw[index],
        jax.nn.sigmoid(best_logits),
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        count=count,
    )
