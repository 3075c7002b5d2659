"""Trees are connected, reach every end, and thin out on the way."""

import numpy as np
import pytest

from medssl_jax.phantoms.canvas import Tubes
from medssl_jax.phantoms.chests.vessels import MURRAY_EXPONENT, along, grow_tree

ROOT = np.array([0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def ends():
    return np.random.default_rng(0).uniform((-20, -20, 5), (20, 20, 60), (80, 3))


@pytest.fixture(scope="module")
def tree(ends):
    return grow_tree(np.random.default_rng(1), ROOT, ends, 0.4)


def test_every_tube_starts_at_the_root_or_where_another_ends(tree):
    sources = np.vstack([ROOT, tree.end_zyx_mm])
    gaps = np.linalg.norm(tree.start_zyx_mm[:, None] - sources[None], axis=-1).min(axis=1)
    assert gaps.max() < 1e-9


def test_every_end_is_reached(tree, ends):
    gaps = np.linalg.norm(ends[:, None] - tree.end_zyx_mm[None], axis=-1).min(axis=1)
    assert gaps.max() < 1e-9


def test_tubes_taper_from_the_trunk_to_the_ends(tree):
    assert (tree.end_radius_mm <= tree.start_radius_mm + 1e-12).all()
    assert tree.start_radius_mm.max() == pytest.approx(0.4 * 80 ** (1 / MURRAY_EXPONENT))
    assert tree.end_radius_mm.min() == pytest.approx(0.6 * 0.4)


def test_long_branches_are_broken_into_pieces(tree):
    assert np.linalg.norm(tree.end_zyx_mm - tree.start_zyx_mm, axis=1).max() < 12


def test_airways_touch_their_artery(tree):
    side = np.array([0.6, 0.8, 0.0])
    airways = along(tree, side, 0.8, 0.75)
    arteries = tree[tree.end_radius_mm >= 0.8]
    apart = np.linalg.norm(airways.start_zyx_mm - arteries.start_zyx_mm, axis=1)
    np.testing.assert_allclose(apart, airways.start_radius_mm + arteries.start_radius_mm)
    assert len(airways) < len(tree)


def test_one_end_and_joining(tree):
    single = grow_tree(np.random.default_rng(0), ROOT, np.array([[0.0, 0.0, 5.0]]), 0.4)
    assert len(single) == 1
    assert len(Tubes.join(single, tree)) == 1 + len(tree)
