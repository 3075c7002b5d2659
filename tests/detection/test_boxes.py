"""Laws of overlap and of box deltas, hand-made cases, and counting voxels as an oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.detection import boxes as box_functions

pairwise_iou_zyxdhw = jax.jit(box_functions.pairwise_iou_zyxdhw)
encode_boxes, decode_boxes = jax.jit(box_functions.encode_boxes), jax.jit(box_functions.decode_boxes)
whole_boxes = jax.jit(box_functions.whole_boxes, static_argnums=1)


def random_cubes(seed, count):
    rng = np.random.default_rng(seed)
    side = rng.uniform(2, 12, (count, 1))
    return jnp.asarray(np.hstack([rng.uniform(0, 40, (count, 3)), side, side, side]), jnp.float32)


def test_iou_is_symmetric_and_one_on_itself():
    boxes = random_cubes(0, 30)
    iou = np.asarray(pairwise_iou_zyxdhw(boxes, boxes))
    np.testing.assert_allclose(iou, iou.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(iou), 1, rtol=1e-5)


@pytest.mark.parametrize(("side", "expected"), [(4, 0.27), (5, 0.34), (6, 0.41), (8, 0.50)])
def test_iou_of_a_perfect_anchor_one_voxel_off_on_each_axis(side, expected):
    # The arithmetic that sets the threshold for positives: a rule of 0.5 would starve small nodules.
    nodule = jnp.array([[10.0, 10, 10, side, side, side]])
    assert float(pairwise_iou_zyxdhw(nodule, nodule.at[:, :3].add(1))[0, 0]) == pytest.approx(expected, abs=0.005)


def test_iou_agrees_with_counting_voxels():
    rng = np.random.default_rng(1)
    low = rng.integers(0, 8, (20, 3))
    extent = rng.integers(1, 8, (20, 3))
    boxes = jnp.asarray(np.hstack([low + extent / 2, extent]), jnp.float32)
    masks = np.zeros((20, 16, 16, 16), bool)
    for mask, (z, y, x), (d, h, w) in zip(masks, low, extent, strict=True):
        mask[z : z + d, y : y + h, x : x + w] = True
    flat = masks.reshape(20, -1).astype(float)
    overlap = flat @ flat.T
    union = flat.sum(1)[:, None] + flat.sum(1)[None] - overlap
    np.testing.assert_allclose(pairwise_iou_zyxdhw(boxes, boxes), overlap / union, atol=1e-6)


def test_padding_overlaps_nothing():
    boxes = jnp.zeros((2, 6))
    np.testing.assert_array_equal(pairwise_iou_zyxdhw(boxes, boxes), 0)


def test_decoding_undoes_encoding():
    boxes, anchors = random_cubes(2, 50), random_cubes(3, 50)
    np.testing.assert_allclose(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, rtol=1e-4)


def test_code_by_hand():
    anchor = jnp.array([10.0, 10, 10, 4, 4, 4])
    np.testing.assert_allclose(encode_boxes(jnp.array([12.0, 10, 9, 8, 8, 8]), anchor), [0.5, 0, -0.25, np.log(2)])


def test_a_box_that_is_no_cube_is_coded_as_the_cube_of_its_volume():
    anchor = jnp.array([5.0, 5, 5, 4, 4, 4])
    decoded = decode_boxes(encode_boxes(jnp.array([5.0, 5, 5, 2, 4, 27]), anchor), anchor)
    np.testing.assert_allclose(decoded, [5, 5, 5, 6, 6, 6], rtol=1e-5)


def test_decoding_cannot_overflow():
    anchors = jnp.array([[5.0, 5, 5, 4, 4, 4]] * 2)
    boxes = decode_boxes(jnp.array([[0.0, 0, 0, 1e6], [0, 0, 0, -1e6]]), anchors)
    np.testing.assert_allclose(boxes[:, 3], [4 * np.exp(2), 4 * np.exp(-2)], rtol=1e-5)


def test_whole_boxes_end_at_the_faces_of_the_outer_voxels():
    boxes = jnp.array([[1.5, 4, 4, 4, 4, 4], [1.4, 4, 4, 4, 4, 4], [6.5, 4, 4, 2, 2, 2], [6.6, 4, 4, 2, 2, 2]])
    np.testing.assert_array_equal(whole_boxes(boxes, 8), [True, False, True, False])
