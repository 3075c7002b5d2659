"""Anchors and the cube's symmetries: every symmetry permutes anchors exactly and comes back to where it began."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.detection import symmetries
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.boxes import decode_boxes, encode_boxes
from medssl_jax.detection.symmetries import CUBE_SYMMETRIES, Symmetry

GRID = AnchorGrid(16, (AnchorLevel(4, (4.5, 7.0)), AnchorLevel(8, (14.0,))))
PAPER_GRID = AnchorGrid(
    160, (AnchorLevel(4, (4.5, 7.0, 10.0)), AnchorLevel(8, (14.0, 20.0)), AnchorLevel(16, (28.0, 40.0)))
)


# Compiled once for all 48 members.
apply_to_voxels = jax.jit(symmetries.apply_to_voxels)
undo_on_voxels = jax.jit(symmetries.undo_on_voxels)
undo_on_deltas = jax.jit(symmetries.undo_on_deltas)
undo_on_anchors = jax.jit(symmetries.undo_on_anchors, static_argnums=2)


def noise(*shape):
    """NumPy's: JAX takes seconds to compile a draw."""
    return jnp.asarray(np.random.default_rng(7).normal(size=shape), jnp.float32)


def member(index) -> Symmetry:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), CUBE_SYMMETRIES)


def test_the_paper_has_73000_places():
    assert sum(z * y * x for z, y, x, _ in PAPER_GRID.grid_shapes) == 73_000
    assert len(PAPER_GRID) == len(PAPER_GRID.boxes_zyxdhw()) == 64_000 * 3 + 8_000 * 2 + 1_000 * 2


def test_places_are_symmetric_about_the_centre_of_the_patch():
    centres = GRID.boxes_zyxdhw()[:, :3]
    assert {tuple(row) for row in centres} == {tuple(row) for row in 15 - centres}


def test_a_patch_side_must_be_a_multiple_of_the_strides():
    with pytest.raises(InputError, match=r"patch side 20 is not a multiple of the stride 8.*multiple of 8"):
        AnchorGrid(20, GRID.levels)


def test_anchors_are_those_of_the_cubes_that_a_patch_is_made_of():
    cubes = AnchorGrid(8, GRID.levels).boxes_zyxdhw()
    corners = np.array([(z, y, x) for z in (0, 8) for y in (0, 8) for x in (0, 8)])
    expected = {tuple(box + np.pad(corner, (0, 3))) for corner in corners for box in cubes}
    assert {tuple(box) for box in GRID.boxes_zyxdhw()} == expected
    assert len(GRID) == len(expected)


def test_anchors_are_ordered_by_level_z_y_x_side():
    boxes = GRID.boxes_zyxdhw()
    keys = [(box[3] > 8, *box[:4]) for box in boxes]
    assert keys == sorted(keys)


def test_flattening_undoes_folding():
    values = jnp.arange(len(GRID) * 3.0).reshape(1, len(GRID), 3)
    folded = GRID.fold(values)
    assert [level.shape[1:-1] for level in folded] == list(GRID.grid_shapes)
    np.testing.assert_array_equal(GRID.flatten(folded), values)


def test_symmetries_are_a_group_of_48_that_begins_with_the_flips():
    marked = jnp.arange(27.0).reshape(1, 3, 3, 3)
    images = {np.asarray(apply_to_voxels(marked, member(i))).tobytes() for i in range(48)}
    assert len(images) == 48
    for axes in ((), (1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)):
        flipped = [np.asarray(apply_to_voxels(marked, member(i))) for i in range(8)]
        assert any(np.array_equal(image, np.flip(marked, axes)) for image in flipped)


@pytest.mark.parametrize("index", range(48))
def test_undo_is_the_inverse_on_voxels(index):
    voxels = noise(2, 4, 4, 4, 3)
    turned = apply_to_voxels(voxels, member(index))
    np.testing.assert_array_equal(undo_on_voxels(turned, member(index)), voxels)


@pytest.mark.parametrize("index", range(48))
def test_flip_predict_unflip_is_the_identity(index):
    """A detector that reads anchors off the voxels gives the same answer whichever way the patch is turned."""
    symmetry = member(index)
    voxels = noise(1, 16, 16, 16, 1)

    def predict(voxels):
        levels = []
        for shape, level in zip(GRID.grid_shapes, GRID.levels, strict=True):
            blocks = voxels.reshape(1, shape[0], level.stride, shape[1], level.stride, shape[2], level.stride)
            means = blocks.mean((2, 4, 6))[..., None, None]
            levels.append(means * jnp.arange(1.0, shape[3] + 1)[:, None])
        return GRID.flatten(levels)

    turned = predict(apply_to_voxels(voxels, symmetry))
    np.testing.assert_allclose(undo_on_anchors(turned, symmetry, GRID), predict(voxels), atol=1e-6)


@pytest.mark.parametrize("index", range(48))
def test_boxes_turn_with_the_voxels_and_codes_turn_back(index, turn_boxes):
    symmetry = member(index)
    box = jnp.array([[3.0, 9, 6, 5, 5, 5]])
    anchors = jnp.asarray(GRID.boxes_zyxdhw())
    turned_box = turn_boxes(box, symmetry, 16)
    turned_deltas = encode_boxes(jnp.broadcast_to(turned_box, anchors.shape), anchors)[None]
    deltas = undo_on_anchors(undo_on_deltas(turned_deltas, symmetry), symmetry, GRID)
    np.testing.assert_allclose(decode_boxes(deltas[0], anchors), jnp.broadcast_to(box, anchors.shape), atol=1e-4)


@pytest.mark.parametrize("index", range(0, 48, 5))
def test_a_marked_voxel_lies_in_its_turned_box(index, turn_boxes):
    voxels = jnp.zeros((1, 8, 8, 8)).at[0, 1, 4, 6].set(1)
    turned = apply_to_voxels(voxels, member(index))
    box = turn_boxes(jnp.array([1.0, 4, 6, 1, 1, 1]), member(index), 8)
    assert turned[(0, *np.asarray(box[:3], int))] == 1


def test_views_are_distinct_and_begin_with_the_identity():
    for seed in range(5):
        views = symmetries.draw_views(jax.random.key(seed), 4, symmetries.FLIPS)
        assert not views.flips[0].any()
        assert len({tuple(row) for row in np.asarray(views.flips)}) == 4
