"""Boxes by MONAI, which wants their corners."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher
from monai.data.box_utils import box_iou, non_max_suppression

from experiments.benchmarks.peers.devices import tensor

Boxes = Float[np.ndarray, "n 6"]


def overlap(many: Boxes, few: Boxes) -> Callable[[], torch.Tensor]:
    """IoU of each with each."""
    a, b = _corners(many), _corners(few)
    return lambda: box_iou(a, b)


def suppression(boxes: Boxes, scores: Float[np.ndarray, " n"], iou: float, kept: int) -> Callable[[], Any]:
    """The numbers of the boxes that are kept, best first."""
    corners, on_device = _corners(boxes), tensor(scores)
    return lambda: non_max_suppression(corners, on_device, iou, max_proposals=kept).cpu().numpy()


def atss(anchors: Boxes, boxes: Boxes, per_level: Sequence[int]) -> Callable[[], Any]:
    """Anchors matched to boxes by another rule than ours, with the same work of overlaps."""
    on_device, corners = _corners(anchors), _corners(boxes)
    matcher = ATSSMatcher(num_candidates=4)
    return lambda: matcher.compute_matches(corners, on_device, per_level, 1)


def _corners(boxes: Boxes) -> torch.Tensor:
    return tensor(np.hstack([boxes[:, :3] - boxes[:, 3:] / 2, boxes[:, :3] + boxes[:, 3:] / 2]))
