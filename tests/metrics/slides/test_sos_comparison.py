"""The chosen c and the work of a switch beside the same said slide by slide."""

import numpy as np
import pytest

from medssl_jax.metrics.slides.evaluated_method import Probabilities
from medssl_jax.metrics.slides.sos_comparison import (
    choice_of_c,
    has_raw_seconds,
    mean_seconds_of,
    scores_of_switch,
)
from medssl_jax.metrics.slides.switching import MeanSeconds


def test_the_c_of_validation_is_the_best_of_a_fine_grid(evaluation):
    made = evaluation("SOS", seed=3, sharpness=3.0)
    choice = choice_of_c(made)

    def at(slides, c):
        sent = slides.low.max(axis=1) <= np.float32(c)
        given = np.where(sent, slides.high.argmax(axis=1), slides.low.argmax(axis=1))
        return (given == slides.label).mean(), 1 - sent.mean()

    tried = [at(made.validation, c) for c in np.linspace(0, 1, 5001)]
    assert (choice.validation_accuracy, choice.validation_low_share) == max(tried)
    assert choice.validation_slides == 30
    assert (choice.test_accuracy, choice.test_low_share) == pytest.approx(at(made.test, choice.c))


@pytest.mark.parametrize("rule", ["low", "high", "policy"])
def test_without_c_or_validation_slides_there_is_nothing_to_choose(evaluation, rule):
    assert choice_of_c(evaluation("RDMS", rule=rule)) is None
    nothing = Probabilities(np.zeros(0, np.int64), None, None)
    assert choice_of_c(evaluation("SOS", validation=nothing)) is None


def test_switch_decisions_of_all_seeds_count(evaluation):
    runs = [evaluation("SOS", seed=seed) for seed in range(2)]
    needs_high = np.arange(40) < 10
    scores = scores_of_switch(runs, needs_high)
    assert scores[:3] == (
        sum(each.sent.sum() for each in runs),
        20,
        sum((each.sent & needs_high).sum() for each in runs),
    )
    assert scores_of_switch(runs, np.zeros(40, bool)) is None


def test_raw_seconds_count_only_where_all_have_them(evaluation):
    runs = {"SOS": [evaluation("SOS")], "Cascade": [evaluation("Cascade"), evaluation("Cascade", seed=1)]}
    assert has_raw_seconds(runs)
    runs["Cascade"][1] = evaluation("Cascade", seed=1, raw_seconds=None)
    assert not has_raw_seconds(runs)
    assert mean_seconds_of(runs["SOS"], raw=True) == runs["SOS"][0].raw_seconds != MeanSeconds(0, 0)
    assert mean_seconds_of(runs["SOS"], raw=False) == runs["SOS"][0].prepared_seconds
