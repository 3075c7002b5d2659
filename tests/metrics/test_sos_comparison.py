"""Differences, equal LP and the chosen c beside the same said slide by slide."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.metrics.evaluated_method import Probabilities
from medssl_jax.metrics.sos_comparison import (
    accuracy_differences,
    choice_of_c,
    has_raw_seconds,
    mean_low_share,
    mean_seconds_of,
    scores_of_switch,
)
from medssl_jax.metrics.switching import MeanSeconds


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


def test_the_cascade_is_set_to_the_lp_of_sos_seed_by_seed(evaluation):
    runs = {
        "SOS": [evaluation("SOS", seed=seed, c=c) for seed, c in ((0, 0.6), (1, 0.95))],
        "Cascade": [evaluation("Cascade", seed=seed) for seed in range(2)],
    }
    plain, equal = accuracy_differences(runs)
    assert (plain.name_b, plain.low_share) == ("Cascade", None)
    assert equal.low_share == pytest.approx(mean_low_share(runs["SOS"]))
    right = []
    for sos, cascade in zip(runs["SOS"], runs["Cascade"], strict=True):
        least_confident = np.argsort(cascade.test.low.max(axis=1))[: sos.sent.sum()]
        given = cascade.test.low.argmax(axis=1)
        given[least_confident] = cascade.test.high.argmax(axis=1)[least_confident]
        right.append((given == cascade.test.label).mean())
    assert equal.accuracy.value == pytest.approx(np.mean([each.right for each in runs["SOS"]]) - np.mean(right))


def test_an_lp_that_no_c_reaches_is_reached(evaluation):
    sos, cascade = evaluation("SOS", c=0.8), evaluation("Cascade")
    low = cascade.test.low.copy()
    low[:] = [1, 0, 0, 0]
    cascade = dataclasses.replace(cascade, test=dataclasses.replace(cascade.test, low=low))
    assert 0 < sos.low_share < 1
    *_, equal = accuracy_differences({"SOS": [sos], "Cascade": [cascade]})
    assert equal.low_share == pytest.approx(sos.low_share)


def test_differences_are_of_sos_to_what_is_there(evaluation):
    runs = {name: [evaluation(name, rule=rule)] for name, rule in (("Image-Level", "low"), ("RDMS", "policy"))}
    assert accuracy_differences(runs) == ()
    (only,) = accuracy_differences(runs | {"SOS": [evaluation("SOS")]})
    assert (only.name_a, only.name_b) == ("SOS", "Image-Level")


def test_switch_decisions_of_all_seeds_count(evaluation):
    runs = [evaluation("SOS", seed=seed) for seed in range(2)]
    needs_high = np.arange(40) < 10
    scores = scores_of_switch(runs, needs_high)
    assert scores[:3] == (
        sum(each.sent.sum() for each in runs),
        20,
        sum((each.sent & needs_high).sum() for each in runs),
    )


def test_raw_seconds_count_only_where_all_have_them(evaluation):
    runs = {"SOS": [evaluation("SOS")], "Cascade": [evaluation("Cascade"), evaluation("Cascade", seed=1)]}
    assert has_raw_seconds(runs)
    runs["Cascade"][1] = evaluation("Cascade", seed=1, raw_seconds=None)
    assert not has_raw_seconds(runs)
    assert mean_seconds_of(runs["SOS"], raw=True) == runs["SOS"][0].raw_seconds != MeanSeconds(0, 0)
    assert mean_seconds_of(runs["SOS"], raw=False) == runs["SOS"][0].prepared_seconds
