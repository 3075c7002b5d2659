"""Axis-aligned boxes `(z, y, x, depth, height, width)` in voxels: overlap, and deltas to cubic anchors.

A nodule is annotated by a centre and a diameter, so its box is a cube and four deltas describe it: the offset of
the centre and the logarithm of the side, both relative to the side of the anchor: those of Faster R-CNN (arXiv
1506.01497), for cubes.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def pairwise_iou_zyxdhw(boxes_a: Float[Array, "a 6"], boxes_b: Float[Array, "b 6"]) -> Float[Array, "a b"]:
    """Intersection over union of each box of `boxes_a` with each of `boxes_b`.

    Boxes of one grid, in its voxels. A box without volume overlaps nothing, so rows of zeros can pad.
    """
    low_a, high_a = corners_zyx(boxes_a[:, None, :])
    low_b, high_b = corners_zyx(boxes_b[None, :, :])
    overlap = jnp.clip(jnp.minimum(high_a, high_b) - jnp.maximum(low_a, low_b), 0).prod(-1)
    union = boxes_a[:, None, 3:].prod(-1) + boxes_b[None, :, 3:].prod(-1) - overlap
    return jnp.where(union > 0, overlap / jnp.where(union > 0, union, 1), 0)


def corners_zyx(boxes_zyxdhw: Float[Array, "*n 6"]) -> tuple[Float[Array, "*n 3"], Float[Array, "*n 3"]]:
    """Lowest and highest corner of each box, in its unit (voxels)."""
    centre, half_extent = boxes_zyxdhw[..., :3], boxes_zyxdhw[..., 3:] / 2
    return centre - half_extent, centre + half_extent


def whole_boxes(boxes_zyxdhw: Float[Array, "*n 6"], side: int) -> Bool[Array, "*n"]:
    """True for boxes that lie whole inside a cubic patch of `side` voxels, with outer faces at -0.5 and side - 0.5."""
    low, high = corners_zyx(boxes_zyxdhw)
    return ((low >= -0.5) & (high <= side - 0.5)).all(-1)


def encode_boxes(boxes_zyxdhw: Float[Array, "*n 6"], anchors_zyxdhw: Float[Array, "*#n 6"]) -> Float[Array, "*n 4"]:
    """Deltas of each box to its anchor: `(dz, dy, dx) / a, log(d / a)`, a the side of the anchor.

    Both in voxels. The side d of a box that is no cube is the geometric mean of its extents. Boxes must have a volume.
    """
    anchor_side = anchors_zyxdhw[..., 3:4]
    offset = (boxes_zyxdhw[..., :3] - anchors_zyxdhw[..., :3]) / anchor_side
    log_side = jnp.log(boxes_zyxdhw[..., 3:]).mean(-1, keepdims=True)
    return jnp.concatenate([offset, log_side - jnp.log(anchor_side)], -1)


def decode_boxes(deltas: Float[Array, "*n 4"], anchors_zyxdhw: Float[Array, "*#n 6"]) -> Float[Array, "*n 6"]:
    """The cubes that lie at `deltas` from the anchors: the inverse of `encode_boxes`.

    The logarithm is held within +-2 (a factor of 7.4), so that an untrained network cannot overflow a box.
    """
    anchor_side = anchors_zyxdhw[..., 3:4]
    centre = anchors_zyxdhw[..., :3] + deltas[..., :3] * anchor_side
    side = anchor_side * jnp.exp(jnp.clip(deltas[..., 3:], -2, 2))
    return jnp.concatenate([centre, side, side, side], -1)
