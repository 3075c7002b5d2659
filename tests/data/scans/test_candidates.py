"""Candidates: the best marks of each scan, in its voxels."""

import numpy as np

from medssl_jax.data.scans.candidates import candidates_of
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.submission import Marks

GRIDS = {"a": Grid((9, 9, 9), (1.0, 1.0, 1.0), (10.0, 20.0, 30.0)), "b": Grid((9, 9, 9), (2.0, 1.0, 1.0))}


def test_the_best_marks_of_each_scan_in_its_voxels():
    centres = np.array([[11.0, 22.0, 33.0], [1.0, 2.0, 6.0], [10.0, 20.0, 30.0], [14.0, 20.0, 30.0]])
    marks = Marks(("a", "b", "a", "a"), centres, np.array([0.5, 0.1, 0.2, 0.9]))
    found = candidates_of(marks, GRIDS.__getitem__, most=2)
    assert sorted(found) == ["a", "b"]
    np.testing.assert_allclose(found["a"], [[0, 0, 4], [3, 2, 1]])
    np.testing.assert_allclose(found["b"], [[3, 2, 1]])


def test_no_mark_is_no_candidate():
    assert candidates_of(Marks((), np.zeros((0, 3)), np.zeros(0)), GRIDS.__getitem__, most=2) == {}
