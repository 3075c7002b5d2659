"""Shapes are SciPy's, on arrays of any size, those smaller than the ball too."""

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.imaging.shapes import ball, box_round, closed_far, grown, labelled_parts, shrunk

SIZES = [(1, 1, 1), (1, 2, 9), (3, 1, 4), (9, 10, 11)]


def noise(size, share=0.5):
    return np.random.default_rng(sum(size)).random(size) < share


def as_structure(offsets, reach):
    structure = np.zeros((2 * reach + 1,) * 3, bool)
    structure[tuple(np.array(offsets).T + reach)] = True
    return structure


def test_a_ball_holds_all_within_its_radius():
    z, y, x = np.indices((7, 7, 7)) - 3
    for radius in (1.0, 1.5, 2.0, 2.5, 3.0):
        np.testing.assert_array_equal(as_structure(ball(radius), 3), z**2 + y**2 + x**2 <= radius**2)
    flat = as_structure(ball(2.0, axes=(1, 2)), 3)
    np.testing.assert_array_equal(flat, (z**2 + y**2 + x**2 <= 4) & (z == 0))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [1.0, 2.5])
def test_grown_and_shrunk_are_scipys(size, radius):
    structure = as_structure(ball(radius), 3)
    for share in (0.02, 0.5, 0.98):
        mask = noise(size, share)
        np.testing.assert_array_equal(grown(mask, ball(radius)), ndimage.binary_dilation(mask, structure))
        expected = ndimage.binary_erosion(mask, structure, border_value=1)
        np.testing.assert_array_equal(shrunk(mask, ball(radius)), expected)


def test_an_uneven_shape_grows_to_its_own_side():
    mask = np.zeros((1, 1, 5), bool)
    mask[0, 0, 2] = True
    assert grown(mask, [(0, 0, 1)])[0, 0].tolist() == [False, False, False, True, False]


def test_parts_are_scipys_by_size():
    mask = noise((9, 10, 11), 0.25)
    found, (expected, count) = labelled_parts(mask), ndimage.label(mask)
    voxels = np.bincount(found.ravel())[1:]
    assert len(voxels) == count
    assert (np.diff(voxels) <= 0).all()
    np.testing.assert_array_equal(found > 0, mask)
    assert len(set(zip(found[mask], expected[mask], strict=True))) == count
    assert not labelled_parts(np.zeros((2, 3, 4), bool)).any()


def test_parts_of_one_size_keep_their_order():
    mask = np.zeros((1, 1, 40), bool)
    mask[0, 0, ::2] = True
    assert labelled_parts(mask)[mask].tolist() == list(range(1, 21))


def test_a_gap_is_closed_by_a_ball_that_does_not_fit_through():
    mask = np.ones((25, 25, 25), bool)
    mask[:, :, 10:14] = False  # 4 voxels wide
    assert not closed_far(mask, 1)[12, 12, 11:13].any()
    assert closed_far(mask, 6)[12, 12].all()
    assert closed_far(mask, 1)[mask].all()


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(0, ((1, 3), (2, 3), (4, 8))), (1, ((0, 4), (1, 4), (3, 9))), (9, ((0, 5), (0, 6), (0, 10)))],
)
def test_the_box_round_a_mask(margin, expected):
    mask = np.zeros((5, 6, 10), bool)
    mask[1, 2, 4] = mask[2, 2, 7] = True
    assert box_round(mask, margin) == tuple(slice(*ends) for ends in expected)
    empty = np.zeros_like(mask)
    assert empty[box_round(empty, margin)].size == 0
