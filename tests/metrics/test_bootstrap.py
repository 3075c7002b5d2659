"""Resamples are draws of scans with replacement; the interval is LUNA16's."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.bootstrap import draw_counts, interval_95


def test_as_many_scans_are_drawn_as_there_are_and_each_as_often():
    counts = draw_counts(np.ones(50, int), 4000, seed=0)
    assert counts.shape == (4000, 50)
    assert (counts.sum(axis=1) == 50).all()
    # Binomial(50, 1/50): mean 1, variance 0.98; five standard errors over 4,000 draws.
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 * np.sqrt(0.98 / 4000))
    np.testing.assert_allclose(counts.var(axis=0).mean(), 0.98, rtol=0.02)


def test_the_seed_settles_the_draw():
    nodules = np.ones(20, int)
    np.testing.assert_array_equal(draw_counts(nodules, 10, seed=1), draw_counts(nodules, 10, seed=1))
    assert (draw_counts(nodules, 10, seed=1) != draw_counts(nodules, 10, seed=2)).any()


def test_a_resample_without_nodules_is_drawn_again():
    nodules = np.array([0, 0, 0, 2])  # a third of plain draws would miss the last scan
    assert (draw_counts(nodules, 500, seed=0) @ nodules > 0).all()


def test_nothing_to_draw_is_refused():
    with pytest.raises(InputError, match="bootstraps: found 0"):
        draw_counts(np.ones(3, int), 0, seed=0)
    with pytest.raises(InputError, match="found no finding in any case"):
        draw_counts(np.zeros(3, int), 10, seed=0)


def test_interval_takes_the_26th_and_the_976th_of_1000():
    values = np.random.default_rng(0).permutation(1000).astype(float)
    np.testing.assert_array_equal(interval_95(values), [25, 975])
    np.testing.assert_array_equal(interval_95(np.stack([values, -values], axis=1)), [[25, -974], [975, -24]])
