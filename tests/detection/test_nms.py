"""Suppression against a plain Python loop, and what fixed shapes must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.detection import nms
from medssl_jax.detection.boxes import pairwise_iou_zyxdhw

STATIC = ("candidates", "iou_threshold", "score_threshold", "count")
suppress = jax.jit(nms.suppress, static_argnames=STATIC[1:])
top_detections = jax.jit(nms.top_detections, static_argnames=STATIC)
overlap = jax.jit(pairwise_iou_zyxdhw)


def random_boxes(seed, count):
    rng = np.random.default_rng(seed)
    side = rng.uniform(4, 10, (count, 1))
    boxes = np.hstack([rng.uniform(0, 30, (count, 3)), side, side, side])
    return jnp.asarray(boxes, jnp.float32), jnp.asarray(rng.random(count), jnp.float32)


def greedy(boxes, scores, iou_threshold, score_threshold):
    kept: list[int] = []
    scores = np.asarray(scores)
    iou = np.asarray(overlap(boxes, boxes))
    for index in np.argsort(-scores, stable=True):
        if scores[index] >= score_threshold and all(iou[index, other] <= iou_threshold for other in kept):
            kept.append(index)
    return kept


def test_equals_the_plain_loop():
    for seed in range(5):
        boxes, scores = random_boxes(seed, 80)
        kept = suppress(boxes, scores, iou_threshold=0.1, score_threshold=0.3, count=40)
        expected = greedy(boxes, scores, 0.1, 0.3)[:40]
        np.testing.assert_allclose(kept.scores[kept.valid], scores[jnp.array(expected)])
        np.testing.assert_allclose(kept.boxes_zyxdhw[kept.valid], boxes[jnp.array(expected)])


@pytest.mark.parametrize("candidates", [5, 40, 1000])
def test_only_so_many_candidates_enter(candidates):
    boxes, scores = random_boxes(4, 40)
    found = top_detections(
        jax.scipy.special.logit(scores), boxes, candidates=candidates, iou_threshold=0.1, score_threshold=0.0, count=40
    )
    best = np.argsort(-np.asarray(scores))[:candidates]
    kept = greedy(boxes[best], scores[best], 0.1, 0.0)
    np.testing.assert_allclose(found.boxes_zyxdhw[found.valid], boxes[best][jnp.array(kept)])


def test_at_the_thresholds_a_box_is_kept():
    boxes = jnp.array([[2.0, 0, 0, 3, 2, 2], [3.0, 0, 0, 3, 2, 2]])  # two thirds of each are shared: half of both
    kept = suppress(boxes, jnp.array([0.75, 0.5]), iou_threshold=0.5, score_threshold=0.5, count=3)
    np.testing.assert_array_equal(kept.scores, [0.75, 0.5, 0])
    np.testing.assert_array_equal(kept.valid, [True, True, False])


def test_padding_is_zero_and_comes_last():
    boxes, scores = random_boxes(9, 10)
    kept = suppress(boxes, scores, iou_threshold=0.1, score_threshold=2.0, count=5)
    assert not kept.valid.any()
    assert not kept.boxes_zyxdhw.any()


def test_boxes_without_volume_end():
    kept = suppress(jnp.zeros((3, 6)), jnp.ones(3), iou_threshold=0.1, score_threshold=0.5, count=5)
    assert int(kept.valid.sum()) == 3


def test_top_detections_takes_logits():
    boxes, scores = random_boxes(3, 60)
    logits = jax.scipy.special.logit(scores)
    found = top_detections(logits, boxes, candidates=60, iou_threshold=0.1, score_threshold=0.5, count=20)
    expected = greedy(boxes, scores, 0.1, 0.5)[:20]
    np.testing.assert_allclose(found.scores[found.valid], scores[jnp.array(expected)], rtol=1e-5)
