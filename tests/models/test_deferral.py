"""The head of learned deferral against ridge regression done again without each slide, and its budget's law."""

import numpy as np
import pytest

from medssl_jax.models.deferral import PENALTIES, asking_threshold, fit_deferral

RNG = np.random.default_rng(0)
FEATURE = RNG.normal(size=(24, 5)) * (3.0, 1.0, 1.0, 0.2, 0.01) + 2.0
GAIN = np.clip(np.rint(FEATURE[:, 1] - 2 + RNG.normal(size=24, scale=0.5)), -1, 1)


def ridge(feature, gain, penalty):
    """By the normal equations, the intercept a column that is not penalised."""
    columns = np.column_stack([feature, np.ones(len(feature))])
    penalties = np.diag([penalty] * feature.shape[1] + [0.0])
    return np.linalg.solve(columns.T @ columns + penalties, columns.T @ gain)


def left_out(feature, gain, penalty):
    """What each slide is foretold by a head that was fitted to all others."""
    foretold = []
    for place in range(len(gain)):
        others = np.arange(len(gain)) != place
        weights = ridge(feature[others], gain[others], penalty)
        foretold.append(feature[place] @ weights[:-1] + weights[-1])
    return np.array(foretold)


def test_the_head_is_the_ridge_of_the_smallest_error_on_slides_left_out():
    scale = (np.linalg.svd(FEATURE - FEATURE.mean(0), compute_uv=False) ** 2).mean()
    penalties = PENALTIES * scale
    foretold = [left_out(FEATURE, GAIN, penalty) for penalty in penalties]
    errors = [((each - GAIN) ** 2).sum() for each in foretold]
    best = int(np.argmin(errors))
    assert 0 < best < len(penalties) - 1  # else any would do
    head = fit_deferral(FEATURE, GAIN)
    weights = ridge(FEATURE, GAIN, penalties[best])
    np.testing.assert_allclose([*head.kernel, head.bias], weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.percentiles, np.quantile(foretold[best], np.linspace(0, 1, 101)), atol=1e-5)


def test_noise_is_not_believed():
    """Where the gain has nothing to do with v, hardly anything but its mean is foretold."""
    gain = np.random.default_rng(1).choice((-1.0, 0.0, 1.0), 400)
    feature = np.random.default_rng(2).normal(size=(400, 30))
    foretold = feature @ fit_deferral(feature, gain).kernel
    assert foretold.std() < 0.3 * gain.std()


def test_features_that_do_not_vary_foretell_the_mean():
    head = fit_deferral(np.full((5, 3), 2.0), np.array([1, 0, 0, 0, 1]))
    np.testing.assert_array_equal(head.kernel, 0)
    assert head.bias == pytest.approx(0.4)


@pytest.mark.parametrize("budget", [0.1, 0.33, 0.8, 1.0])
def test_no_more_than_the_budget_is_asked_and_never_for_a_loss(budget):
    gains = np.random.default_rng(3).normal(loc=0.2, size=200)
    threshold = asking_threshold(np.quantile(gains, np.linspace(0, 1, 101)), budget)
    asked, may_gain = (gains > threshold).mean(), (gains > 0).mean()
    assert asked == pytest.approx(min(budget, may_gain), abs=1 / 200 + 1e-9)
    assert threshold >= 0
