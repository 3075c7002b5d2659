"""What a focal score stands for, beside the numerical minimum of the expected loss."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from medssl_jax.losses.focal import posterior_behind


@pytest.mark.parametrize(
    ("a0", "a1", "gamma"), [(0.25, 0.75, 2.0), (0.05, 0.95, 2.0), (0.5, 0.5, 1.0), (0.3, 0.7, 3.5), (0.2, 0.8, 0.0)]
)
@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.9])
def test_the_least_expected_loss_lies_where_the_posterior_says(a0, a1, gamma, share):
    def expected(p):
        return -share * a1 * (1 - p) ** gamma * np.log(p) - (1 - share) * a0 * p**gamma * np.log(1 - p)

    least = minimize_scalar(expected, bounds=(1e-6, 1 - 1e-6), method="bounded", options={"xatol": 1e-9}).x
    found = posterior_behind(least, negative_weight=a0, positive_weight=a1, gamma=gamma)
    assert float(found) == pytest.approx(share, abs=2e-4)


def test_one_half_stands_for_the_share_of_the_negatives_weight():
    for a0, a1 in ((0.25, 0.75), (0.05, 0.95)):
        found = posterior_behind(0.5, negative_weight=a0, positive_weight=a1, gamma=2.0)
        assert float(found) == pytest.approx(a0)
