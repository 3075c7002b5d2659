"""The fitted law against LUNA16's own annotations, and its truncation."""

import csv

import numpy as np
import pytest
from scipy import stats

from medssl_jax.phantoms.chests.diameters import LUNA16_DIAMETER_RANGE_MM, draw_diameters_mm


@pytest.fixture(scope="module")
def real_diameters_mm(shared_data):
    with (shared_data / "luna16" / "annotations.csv").open(newline="") as file:
        return np.array([float(row["diameter_mm"]) for row in csv.DictReader(file)])


def test_draws_are_distributed_as_in_luna16(real_diameters_mm):
    drawn = draw_diameters_mm(np.random.default_rng(0), 100_000)
    assert stats.ks_2samp(drawn, real_diameters_mm).statistic < 0.04
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert np.quantile(drawn, share) == pytest.approx(np.quantile(real_diameters_mm, share), rel=0.12)


def test_range_is_that_of_luna16(real_diameters_mm):
    assert LUNA16_DIAMETER_RANGE_MM[0] == pytest.approx(real_diameters_mm.min(), abs=0.01)
    assert LUNA16_DIAMETER_RANGE_MM[1] == pytest.approx(real_diameters_mm.max(), abs=0.01)


def test_truncation_keeps_the_shape_below_the_limit():
    everything = draw_diameters_mm(np.random.default_rng(1), 100_000)
    small = draw_diameters_mm(np.random.default_rng(2), 100_000, largest_mm=8.0)
    assert small.min() >= LUNA16_DIAMETER_RANGE_MM[0]
    assert small.max() <= 8.0
    assert stats.ks_2samp(small, everything[everything <= 8.0]).statistic < 0.01
