"""Marks in the world: where a box lies, how wide it is to the bit, and whose marks they are."""

import dataclasses

import numpy as np

from medssl_jax.imaging.geometry import Grid
from medssl_jax.inference.sliding import ScanDetections
from medssl_jax.inference.world import as_marks, rows_in_world

GRID = Grid((9, 9, 9), (1.0, 1.0, 1.0), (-100.5, 20.0, 3.0))


def test_a_mark_lies_where_its_box_does_and_is_as_wide():
    sides = np.random.default_rng(0).uniform(3, 30, 50).astype(np.float32)
    boxes = np.column_stack([np.full(50, 1), np.full(50, 2), np.full(50, 3), sides, sides, sides]).astype(np.float32)
    rows = rows_in_world(ScanDetections(boxes, np.linspace(1, 0, 50).astype(np.float32)), GRID)
    np.testing.assert_array_equal(rows[:, :3], [[-97.5, 22.0, 4.0]] * 50)
    np.testing.assert_array_equal(rows[:, 3], np.linspace(1, 0, 50).astype(np.float32))
    np.testing.assert_array_equal(rows[:, 4], sides)


def test_the_width_is_in_mm_whatever_the_voxels():
    grid = dataclasses.replace(GRID, spacing_zyx_mm=(2.5,) * 3)
    found = ScanDetections(np.array([[1, 2, 3, 4, 5, 6]], np.float32), np.ones(1, np.float32))
    assert rows_in_world(found, grid).tolist() == [[-93.0, 25.0, 5.5, 1.0, 12.5]]


def test_each_mark_keeps_its_scan():
    rows_of = {"b": np.arange(10.0).reshape(2, 5), "none": np.zeros((0, 5)), "a": 10 + np.arange(5.0).reshape(1, 5)}
    marks = as_marks(rows_of)
    assert marks.series_uid == ("b", "b", "a")
    np.testing.assert_array_equal(marks.centre_xyz_mm, [[0, 1, 2], [5, 6, 7], [10, 11, 12]])
    np.testing.assert_array_equal(marks.score, [3, 8, 13])
    np.testing.assert_array_equal(marks.diameter_mm, [4, 9, 14])
    assert as_marks({}).series_uid == ()
