"""Assignment by hand on single nodules, and its laws under symmetry."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.detection import symmetries
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.assignment import assign_anchors
from medssl_jax.detection.boxes import decode_boxes, pairwise_iou_zyxdhw

GRID = AnchorGrid(32, (AnchorLevel(4, (4.5, 7.0, 10.0)), AnchorLevel(8, (14.0, 20.0))))
ANCHORS = jnp.asarray(GRID.boxes_zyxdhw())
ASSIGN = jax.jit(functools.partial(assign_anchors, patch_side=32, positive_iou=0.35, ignored_iou=0.1))


UNDO = jax.jit(symmetries.undo_on_anchors, static_argnums=2)


def assign(*boxes, slots=4):
    padded = jnp.zeros((slots, 6)).at[: len(boxes)].set(jnp.array(boxes, float).reshape(-1, 6))
    valid = jnp.arange(slots) < len(boxes)
    return ASSIGN(ANCHORS, padded, valid)


def test_without_nodules_all_is_background():
    targets = assign()
    assert not targets.probability.any()
    assert not targets.ignored.any()
    assert not targets.deltas.any()


@pytest.mark.parametrize("diameter", [3.3, 4.5, 6.4, 9.0, 15.0, 26.0])
def test_every_nodule_has_a_positive_anchor(diameter):
    rng = np.random.default_rng(int(10 * diameter))
    for centre in rng.uniform(0, 31, (10, 3)):
        assert assign((*centre, *(diameter,) * 3)).probability.max() == 1


def test_bands_by_overlap():
    box = (13.5, 13.5, 13.5, 7.0, 7.0, 7.0)
    targets = assign(box)
    iou = np.asarray(pairwise_iou_zyxdhw(ANCHORS, jnp.array([box]))[:, 0])
    positive = np.asarray(targets.probability) == 1
    np.testing.assert_array_equal(positive, iou >= 0.35)
    np.testing.assert_array_equal(targets.ignored, (iou >= 0.1) & (iou < 0.35))


@pytest.mark.parametrize(("positive_iou", "probability", "ignored"), [(0.75, 0, True), (0.5, 1, False)])
def test_a_threshold_belongs_to_what_lies_above_it(positive_iou, probability, ignored):
    """The second anchor overlaps the nodule by a half."""
    anchors = jnp.array([[8.0, 8, 8, 2, 4, 4], [8, 8, 8, 4, 4, 4]])
    assign = jax.jit(functools.partial(assign_anchors, patch_side=32, positive_iou=positive_iou, ignored_iou=0.5))
    targets = assign(anchors, anchors[:1], jnp.array([True]))
    assert targets.probability.tolist() == [1, probability]
    assert targets.ignored.tolist() == [False, ignored]


def test_codes_of_positives_give_the_nodule_back():
    box = (12.0, 15.5, 18.0, 8.0, 8.0, 8.0)
    targets = assign(box)
    positive = np.asarray(targets.probability) == 1
    decoded = np.asarray(decode_boxes(targets.deltas, ANCHORS))[positive]
    np.testing.assert_allclose(decoded, np.broadcast_to(box, decoded.shape), rtol=1e-4)


def test_a_best_anchor_codes_its_own_nodule_beside_a_larger_one():
    small, large = (13.5, 13.5, 13.5, 3.3, 3.3, 3.3), (14.5, 14.5, 14.5, 14, 14, 14)
    targets = assign(small, large)
    decoded = np.asarray(decode_boxes(targets.deltas, ANCHORS))[np.asarray(targets.probability) == 1]
    assert np.isclose(decoded[:, 3], 3.3, rtol=1e-3).any()
    assert np.isclose(decoded[:, 3], 14, rtol=1e-3).any()


def test_a_best_anchor_codes_its_own_nodule_though_it_overlaps_another_one_more():
    anchors = jnp.array([[8.0, 8, 8, 6, 6, 6], [8.0, 8, 9, 8, 8, 8]])
    small, large = (8.0, 8, 7, 3, 3, 3), (8.0, 8, 9, 7, 7, 7)
    iou = np.asarray(pairwise_iou_zyxdhw(anchors, jnp.array([small, large])))
    assert iou[0].argmax() == 1  # of the first anchor
    assert iou[:, 0].argmax() == 0  # of the small nodule
    targets = ASSIGN(anchors, jnp.array([small, large]), jnp.ones(2, bool))
    np.testing.assert_array_equal(targets.probability, [1, 1])
    np.testing.assert_allclose(decode_boxes(targets.deltas, anchors), [small, large], rtol=1e-4)


@pytest.mark.parametrize("axis", range(3))
def test_a_nodule_centred_outside_has_no_best_anchor(axis):
    """Sixteen voxels wide and four deep, so that no anchor reaches the overlap of a positive."""

    def centred_at(place):
        box = np.array([15.5, 15.5, 15.5, 16, 16, 16])
        box[axis], box[3 + axis] = place, 4
        return tuple(box)

    for inside, outside in ((-0.5, -0.6), (31.5, 31.6)):
        assert assign(centred_at(inside)).probability.any()
        assert not assign(centred_at(outside)).probability.any()
    assert not assign((-3.0, 16, 16, 7, 7, 7)).probability.any()


def test_a_nodule_that_no_anchor_overlaps_has_none():
    far = jnp.full(ANCHORS.shape, 28.0).at[:, 3:].set(4)
    targets = ASSIGN(far, jnp.array([[5.0, 5, 5, 4, 4, 4]] * 4), jnp.ones(4, bool))
    assert not targets.probability.any()


@pytest.mark.parametrize("index", [1, 6, 13, 30, 47])
def test_assignment_turns_with_the_patch(index, turn_boxes):
    symmetry = jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), symmetries.CUBE_SYMMETRIES)
    # Both lie as far from two anchors as from one, so ties must be kept together.
    boxes = [(13.5, 9.5, 21.5, 6.0, 6.0, 6.0), (7.5, 23.5, 15.5, 4.0, 4.0, 4.0)]
    turned = [tuple(turn_boxes(jnp.array(box), symmetry, 32)) for box in boxes]
    straight, back = assign(*boxes), assign(*turned)
    for name in ("probability", "ignored"):
        value = getattr(back, name).astype(float)[None, :, None]
        undone = UNDO(value, symmetry, GRID)[0, :, 0]
        np.testing.assert_array_equal(undone, getattr(straight, name).astype(float))
