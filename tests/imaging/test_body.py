"""The body as a hand-made scan has it: with what it encloses, without the couch and without air."""

import numpy as np

from medssl_jax.imaging.body import segment_body
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume

GRID = Grid((20, 70, 80), (2.0, 1.5, 1.5), (0.0, 0.0, 0.0))
Z, Y, X = np.indices(GRID.size_zyx) * np.array(GRID.spacing_zyx_mm).reshape(3, 1, 1, 1)
BODY = ((X - 60) / 45) ** 2 + ((Y - 48) / 34) ** 2 < 1
LUNG = ((X - 40) / 12) ** 2 + ((Y - 48) / 20) ** 2 < 1  # through the first and the last slice


def found(hu):
    return segment_body(Volume(hu.astype(np.int16), GRID, "1")) > 0


def test_a_body_with_its_lung_and_its_bowel_and_no_couch():
    hu = np.where(BODY, 50, -1000)
    hu[LUNG] = -850
    hu[(X - 75) ** 2 + (Y - 50) ** 2 + (Z - 20) ** 2 < 10**2] = -1000
    hu[(Y > 90) & (Y < 93)] = 40
    mask = found(hu)
    assert (mask != BODY).mean() < 0.03
    assert mask[LUNG].all()
    assert not mask[Y > 89].any()


def test_a_scan_that_is_all_body_and_one_that_is_none():
    assert found(np.full(GRID.size_zyx, 50)).mean() > 0.95
    assert not found(np.full(GRID.size_zyx, -1000)).any()
