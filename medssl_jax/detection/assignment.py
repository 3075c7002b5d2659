"""Targets of anchors: nodule, background, or ignored, by overlap as in Faster R-CNN (arXiv 1506.01497)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from medssl_jax.detection.boxes import encode_boxes, pairwise_iou_zyxdhw


class AnchorTargets(NamedTuple):
    """The target of each anchor; `ignored` anchors take no part in any loss."""

    probability: Float[Array, "*b anchors"]
    ignored: Bool[Array, "*b anchors"]
    deltas: Float[Array, "*b anchors 4"]


def assign_anchors(
    anchors_zyxdhw: Float[Array, "anchors 6"],
    boxes_zyxdhw: Float[Array, "m 6"],
    valid: Bool[Array, " m"],
    *,
    patch_side: int,
    positive_iou: float,
    ignored_iou: float,
) -> AnchorTargets:
    """Targets of one patch: 1 where the overlap reaches `positive_iou` or is the nodule's best, else 0.

    Anchors whose best overlap lies in `[ignored_iou, positive_iou)` are ignored. All anchors that share a nodule's
    best overlap are positive, so that the result turns with the patch. A nodule whose centre lies outside the patch
    has no best anchor: its remains in the patch may be too small to see. Deltas are zero where there is no nodule.
    Boxes, anchors and `patch_side` are in voxels. The thresholds and the rule of the best anchor are our choice.
    """
    iou = jnp.where(valid, pairwise_iou_zyxdhw(anchors_zyxdhw, boxes_zyxdhw), 0)
    centre = boxes_zyxdhw[:, :3]
    centred_here = valid & ((centre >= -0.5) & (centre <= patch_side - 0.5)).all(-1)
    best_of_box = iou.max(0, initial=0)
    is_best = (iou >= best_of_box - 1e-4) & (best_of_box > 0) & centred_here
    best_of_anchor = iou.max(1, initial=0)
    positive = (best_of_anchor >= positive_iou) | is_best.any(1)
    ignored = (best_of_anchor >= ignored_iou) & ~positive
    # A best anchor regresses to the nodule it is best for, even where it overlaps another one more.
    matched = jnp.argmax(iou + is_best.astype(iou.dtype), axis=1)
    boxes = jnp.where(valid[:, None], boxes_zyxdhw, 1)[matched]
    deltas = jnp.where(positive[:, None], encode_boxes(boxes, anchors_zyxdhw), 0)
    return AnchorTargets(positive.astype(jnp.float32), ignored, deltas)
