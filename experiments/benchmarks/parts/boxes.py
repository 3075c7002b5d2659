"""Overlap of boxes, assignment of anchors and non-maximum suppression, beside MONAI's (--peer)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.bench import Bench, Measurement
from experiments.benchmarks.training import DEFAULT_CONFIG, settings_at
from medssl_jax.detection.assignment import assign_anchors
from medssl_jax.detection.boxes import pairwise_iou_zyxdhw
from medssl_jax.detection.nms import suppress

SMALLEST = {"boxes": 100, "objects": 2, "side": 32, "kept": 10}
IOU = 0.1


def measure(
    bench: Bench, *, boxes: int = 10_000, objects: int = 8, side: int = 96, kept: int = 300
) -> list[Measurement]:
    """Of `boxes` at random, and of the default anchors of a patch of `side`, with `objects` in it."""
    rng = np.random.default_rng(0)
    many = np.hstack([rng.uniform(0, 160, (boxes, 3)), rng.uniform(4, 40, (boxes, 3))]).astype(np.float32)
    few = np.hstack([rng.uniform(0, side, (objects, 3)), rng.uniform(4, 30, (objects, 3))]).astype(np.float32)
    scores = rng.permutation(boxes).astype(np.float32)
    settings = settings_at(DEFAULT_CONFIG, side)
    anchors = settings.detector().grid.boxes_zyxdhw()
    assign = functools.partial(
        assign_anchors,
        valid=jnp.ones(objects, bool),
        patch_side=side,
        positive_iou=settings.anchors.positive_iou,
        ignored_iou=settings.anchors.ignored_iou,
    )
    keep = functools.partial(suppress, iou_threshold=IOU, score_threshold=0.0, count=kept)
    own = {
        f"IoU, {boxes} x {objects}": _waiting(pairwise_iou_zyxdhw, many, few),
        f"assignment, {len(anchors)} anchors, {objects} boxes": _waiting(assign, anchors, few),
        f"NMS, {boxes} boxes, {kept} kept": _waiting(keep, many, scores),
    }
    if not bench.peer:
        return [bench.alone(work, run) for work, run in own.items()]
    from experiments.benchmarks.peers import boxes as peer
    from experiments.benchmarks.peers import devices

    devices.use_threads(bench.threads)
    overlap, suppression = peer.overlap(many, few), peer.suppression(many, scores, IOU, kept)
    per_level = [int(np.prod(shape)) for shape in settings.detector().grid.grid_shapes]
    iou_work, assign_work, nms_work = own
    difference = devices.difference(own[iou_work](), overlap())
    same = bool(np.array_equal(np.asarray(own[nms_work]().boxes_zyxdhw)[: len(suppression())], many[suppression()]))
    return [
        bench.pair(iou_work, own[iou_work], "MONAI", devices.waiting(overlap), **{"largest difference": difference}),
        bench.pair(assign_work, own[assign_work], "MONAI, ATSS", devices.waiting(peer.atss(anchors, few, per_level))),
        bench.pair(nms_work, own[nms_work], "MONAI", devices.waiting(suppression), same="yes" if same else "NO"),
    ]


def _waiting(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    compiled, on_device = jax.jit(function), jax.device_put(arguments)
    return lambda: jax.block_until_ready(compiled(*on_device))
