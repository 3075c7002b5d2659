"""The choice is the best of what is fast enough, of every c and every number of patches."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.slides.switch_budget import SwitchChoice, choice_within
from medssl_jax.metrics.slides.switching import SwitchCurve


def curve(accuracy, seconds):
    """Three choices, at c = 0, .5 and .9."""
    nothing = np.zeros(3)
    return SwitchCurve(
        *(np.array([0.0, 0.5, 0.9]), np.array([1.0, 0.6, 0.0]), np.array(accuracy), nothing, nothing, np.array(seconds))
    )


CURVES = {0: curve([0.8, 0.9, 0.95], [1.0, 3.0, 6.0]), 4: curve([0.8, 0.88, 0.9], [1.0, 1.5, 2.5])}


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (10.0, SwitchChoice(0.9, 0, 0.95, 0.0, 6.0)),
        (5.0, SwitchChoice(0.9, 4, 0.9, 0.0, 2.5)),  # as accurate as all patches at c = .5, and faster
        (2.0, SwitchChoice(0.5, 4, 0.88, 0.6, 1.5)),
        (1.0, SwitchChoice(0.0, 0, 0.8, 1.0, 1.0)),
    ],
)
def test_the_most_accurate_within_the_budget_of_equals_the_fastest(budget, chosen):
    assert choice_within(CURVES, budget) == chosen


def test_a_budget_below_all_choices_is_refused_with_the_least():
    with pytest.raises(InputError, match=r"budget is 0\.5 seconds a slide, expected 1 or more"):
        choice_within(CURVES, 0.5)


def test_seconds_that_are_not_known_are_no_choice():
    assert choice_within({0: curve([0.8, 0.9, 1.0], [1.0, np.nan, np.nan])}, 10.0).c == 0
