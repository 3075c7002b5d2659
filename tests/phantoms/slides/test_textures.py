"""Cells against a nearest-neighbour search on a torus; tiles without a seam."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from medssl_jax.phantoms.slides.textures import CELL_PIXELS, TARGETS, cell_pixels, draw_cells, draw_tissue


def test_cells_are_those_of_the_nearest_points_on_a_torus():
    counts, cell = (14, 16), (10, 8)
    cells = draw_cells(np.random.default_rng(0), counts, cell)
    rng = np.random.default_rng(0)
    shifts = [rng.uniform(0.08, 0.92, counts).astype(np.float32) for _ in range(2)]
    points = np.stack([np.arange(14)[:, None] + shifts[0], np.arange(16)[None] + shifts[1]], axis=-1).reshape(-1, 2)
    y, x = np.meshgrid((np.arange(140) + 0.5) / 10, (np.arange(128) + 0.5) / 8, indexing="ij")
    distance, nearest = KDTree(points, boxsize=counts).query(np.stack([y, x], -1), k=2)
    np.testing.assert_allclose(cells.middle, distance[..., 0], atol=1e-4)
    # The second nearest of a shaken lattice may lie two cells away, but hardly ever does.
    wrong = np.abs(cells.border - (distance[..., 1] - distance[..., 0])) > 1e-3
    assert wrong.mean() < 0.01
    for number in (0, 100):
        assert len(np.unique(cells.kind[nearest[..., 0] == number])) == 1


def test_tiles_repeat_without_a_seam():
    tissue = draw_tissue(np.random.default_rng(1), (12, 12), 256, blur=0.6, grain=0.7)
    for tile in (tissue.relief, *tissue.targets.values()):
        for axis in range(2):
            steps = np.abs(tile - np.roll(tile, 1, axis)).mean(1 - axis)
            assert steps[0] <= 1.2 * steps[1:].max()


def test_relief_is_balanced_and_stains_are_not_negative():
    tissue = draw_tissue(np.random.default_rng(2), (16, 16), 512, blur=0.6, grain=0.7)
    assert tissue.relief.mean() == pytest.approx(0, abs=1e-4)
    for tile in tissue.targets.values():
        assert tile.min() >= 0
        assert 0.01 < tile.mean() < 0.4
        assert 0.5 < tile.max() < 1.5


def test_a_target_of_stain_is_the_same_whatever_else_is_drawn():
    def draw(targets):
        rng = np.random.default_rng(3)
        return draw_tissue(rng, (12, 12), 168, 0.6, 0.7, targets), rng.random()

    whole, after = draw(TARGETS)
    assert list(whole.targets) == list(TARGETS)
    for name in TARGETS:
        alone, after_alone = draw([name])
        assert list(alone.targets) == [name]
        np.testing.assert_array_equal(alone.targets[name], whole.targets[name])
        np.testing.assert_array_equal(alone.relief, whole.relief)
        assert after_alone == after  # so that the next tissue is the same too


def test_so_many_cells_have_an_arteriole_and_nothing_else_changes():
    def draw(share):
        return draw_tissue(np.random.default_rng(4), (16, 16), 512, blur=0.0, grain=0.7, share_with_vessel=share)

    few, many = draw(0.1), draw(0.5)
    # A wall is a ring of the same width in every cell that has one, of a radius that is as large in the mean.
    assert many.targets["arterioles"].mean() / few.targets["arterioles"].mean() == pytest.approx(5, rel=0.15)
    for name in ("granules", "fibres"):
        np.testing.assert_array_equal(few.targets[name], many.targets[name])
    np.testing.assert_array_equal(few.relief, many.relief)


def test_cells_grow_with_the_shrink_to_a_limit():
    widths = [cell_pixels(shrink) for shrink in (4, 8, 16, 40, 100)]
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == CELL_PIXELS
