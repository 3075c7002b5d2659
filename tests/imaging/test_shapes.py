"""Shapes are SciPy's, on arrays of any size, those smaller than the ball too."""

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.imaging.shapes import (
    closed,
    closed_roughly,
    filled,
    grown,
    holding,
    joined,
    labelled_parts,
    opened,
    parts,
    shrunk,
    widened,
)

SIZES = [(1, 1, 1), (1, 2, 9), (3, 1, 4), (9, 10, 11)]


def noise(size, share=0.5):
    return np.random.default_rng(sum(size)).random(size) < share


def ball(radius, axes=(0, 1, 2)):
    offsets = np.indices((7, 7, 7)) - 3
    is_along = np.logical_and.reduce([offsets[axis] == 0 for axis in range(3) if axis not in axes], initial=True)
    return ((offsets**2).sum(axis=0) <= radius**2) & is_along


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [1.0, 1.5, 2.0, 2.5, 3.0])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2)])
def test_grown_and_shrunk_are_scipys(size, radius, axes):
    structure = ball(radius, axes)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        mask = noise(size, share)
        np.testing.assert_array_equal(grown(mask, radius, axes=axes), ndimage.binary_dilation(mask, structure))
        expected = ndimage.binary_erosion(mask, structure, border_value=1)
        np.testing.assert_array_equal(shrunk(mask, radius, axes=axes), expected)


def test_a_large_ball_reaches_as_far():
    mask = np.zeros((45, 45, 45), bool)
    mask[22, 22, 22] = True
    assert grown(mask, 20.0)[22, 22].sum() == 41
    assert grown(mask, 20.0).sum() == sum(
        z * z + y * y + x * x <= 400 for z in range(-20, 21) for y in range(-20, 21) for x in range(-20, 21)
    )


def test_what_is_grown_of_nothing_is_another_array():
    nothing = np.zeros((2, 3, 4), bool)
    assert not np.shares_memory(grown(nothing, 1.0), nothing)


def test_opened_and_closed_are_scipys():
    mask = np.pad(noise((9, 10, 11), 0.9), 3)
    np.testing.assert_array_equal(opened(mask, 1.0), ndimage.binary_opening(mask, ball(1.0)))
    np.testing.assert_array_equal(closed(mask, 1.0), ndimage.binary_closing(mask, ball(1.0)))


@pytest.mark.parametrize("size", SIZES)
def test_filled_is_scipys(size):
    for share in (0.0, 0.6, 0.8, 1.0):
        mask = noise(size, share)
        np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))


def test_parts_that_hold_a_seed():
    row = np.array([[[1, 1, 0, 1, 0, 1]]], bool)
    seeds = np.array([[[0, 1, 0, 0, 0, 1]]], bool)
    assert holding(row, seeds)[0, 0].tolist() == [True, True, False, False, False, True]
    assert not holding(row, np.zeros_like(row)).any()


def test_parts_are_scipys_by_size():
    mask = noise((9, 10, 11), 0.25)
    found, (expected, count) = list(parts(mask)), ndimage.label(mask)
    voxels = [part.voxels for part in found]
    assert len(found) == count
    assert (np.diff(voxels) <= 0).all()
    assert voxels == [part.mask.sum() for part in found]
    np.testing.assert_array_equal(joined(found, mask.shape), mask)
    assert {tuple(np.unique(expected[part.box][part.mask])) for part in found} == {(n,) for n in range(1, count + 1)}
    assert [part.voxels for part in parts(mask, 3)] == [each for each in voxels if each >= 3]
    assert not list(parts(np.zeros((2, 3, 4), bool)))


def test_parts_of_one_size_keep_their_order():
    mask = np.zeros((1, 1, 40), bool)
    mask[0, 0, ::2] = True
    assert [part.box[2].start for part in parts(mask)] == list(range(0, 40, 2))


def test_labels_tell_parts_that_touch_from_each_other():
    labels = np.array([[[4, 4, 1, 0, 4]]])
    assert [(part.box[2], part.voxels) for part in labelled_parts(labels)] == [(slice(0, 5), 3), (slice(2, 3), 1)]


@pytest.mark.parametrize("close", [closed, closed_roughly])
def test_a_gap_is_closed_by_a_ball_that_does_not_fit_through(close):
    mask = np.ones((25, 25, 25), bool)
    mask[:, :, 10:14] = False  # 4 voxels wide
    assert not close(mask, 1.0)[12, 12, 11:13].any()
    assert close(mask, 6.0)[12, 12].all()
    assert close(mask, 12.0)[12, 12].all()
    assert close(mask, 1.0)[mask].all()


def test_a_large_ball_closes_roughly_what_it_should():
    mask = np.zeros((60, 60, 60), bool)
    mask[10:50, 10:50, 10:26] = mask[10:50, 10:50, 34:50] = True
    exact, rough = closed(mask, 12.0), closed_roughly(mask, 12.0)
    assert (exact & ~mask).any()
    assert 2 * (exact & rough).sum() > 0.98 * (exact.sum() + rough.sum())


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(0, ((1, 3), (2, 3), (4, 8))), (1, ((0, 4), (1, 4), (3, 9))), (9, ((0, 5), (0, 6), (0, 10)))],
)
def test_a_box_is_widened_as_far_as_the_array_goes(margin, expected):
    mask = np.zeros((5, 6, 10), bool)
    mask[1, 2, 4] = mask[2, 2, 7] = True
    (tight,) = labelled_parts(mask.astype(int))
    part = widened(tight, margin, mask.shape)
    assert part.box == tuple(slice(*ends) for ends in expected)
    np.testing.assert_array_equal(part.mask, mask[part.box])
