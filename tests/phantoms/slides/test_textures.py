"""Cells against a nearest-neighbour search on a torus; tiles without a seam."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from medssl_jax.phantoms.slides.textures import CELL_PIXELS, cell_pixels, draw_cells, draw_tissue


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
    for tile in (tissue.relief, tissue.granules, tissue.fibres, tissue.arterioles):
        for axis in range(2):
            steps = np.abs(tile - np.roll(tile, 1, axis)).mean(1 - axis)
            assert steps[0] <= 1.2 * steps[1:].max()


def test_relief_is_balanced_and_stains_are_not_negative():
    tissue = draw_tissue(np.random.default_rng(2), (16, 16), 512, blur=0.6, grain=0.7)
    assert tissue.relief.mean() == pytest.approx(0, abs=1e-4)
    for tile in (tissue.granules, tissue.fibres, tissue.arterioles):
        assert tile.min() >= 0
        assert 0.01 < tile.mean() < 0.4
        assert 0.5 < tile.max() < 1.5


def test_cells_grow_with_the_shrink_to_a_limit():
    widths = [cell_pixels(shrink) for shrink in (4, 8, 16, 40, 100)]
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == CELL_PIXELS
