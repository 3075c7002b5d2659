"""Anchors, boxes and what becomes of them: pure functions of arrays."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
    from medssl_jax.detection.assignment import AnchorTargets, assign_anchors
    from medssl_jax.detection.boxes import corners_zyx, decode_boxes, encode_boxes, pairwise_iou_zyxdhw, whole_boxes
    from medssl_jax.detection.nms import Detections, suppress, top_detections
    from medssl_jax.detection.prediction import Prediction
    from medssl_jax.detection.symmetries import (
        CUBE_SYMMETRIES,
        FLIPS,
        Symmetry,
        apply_to_voxels,
        draw_views,
        undo_on_anchors,
        undo_on_deltas,
        undo_on_voxels,
    )

__all__ = [
    "CUBE_SYMMETRIES",
    "FLIPS",
    "AnchorGrid",
    "AnchorLevel",
    "AnchorTargets",
    "Detections",
    "Prediction",
    "Symmetry",
    "apply_to_voxels",
    "assign_anchors",
    "corners_zyx",
    "decode_boxes",
    "draw_views",
    "encode_boxes",
    "pairwise_iou_zyxdhw",
    "suppress",
    "top_detections",
    "undo_on_anchors",
    "undo_on_deltas",
    "undo_on_voxels",
    "whole_boxes",
]
