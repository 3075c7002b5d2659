"""The area, the two gains and the promise, each beside the same said slide by slide."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats

from medssl_jax.metrics.evaluated_method import Probabilities
from medssl_jax.metrics.switch_worth import areas, gains, settled_risk


def area_slide_by_slide(low, high, label):
    """Trapezoids between the accuracies where none stays low, the most confident one, the two most, and so on."""
    order = sorted(range(len(label)), key=lambda each: -low[each].max())
    accuracies = []
    for stay in range(len(label) + 1):
        right = [int((low if place < stay else high)[each].argmax()) == label[each] for place, each in enumerate(order)]
        accuracies.append(sum(right) / len(label))
    return sum((a + b) / 2 for a, b in itertools.pairwise(accuracies)) / len(label)


def test_areas_are_of_the_methods_with_a_c_and_sos_less_the_others(evaluation):
    runs = {
        name: [evaluation(name, rule=rule, seed=seed) for seed in range(3)]
        for name, rule in (("Image-Level", "low"), ("SOS", "confidence"), ("Cascade", "confidence"))
    }
    of_sos, of_cascade, difference = areas(runs)
    assert [each.name for each in (of_sos, of_cascade, difference)] == ["SOS", "Cascade", "SOS - Cascade"]
    by_hand = [area_slide_by_slide(*each.test.both(), each.test.label) for each in runs["SOS"]]
    assert of_sos.value.mean == pytest.approx(np.mean(by_hand))
    assert of_sos.value.draws == 3
    assert difference.value.mean == pytest.approx(of_sos.value.mean - of_cascade.value.mean)
    assert difference.value.over_draws is not None


def test_training_and_switching_make_up_the_gain_over_image_level(evaluation):
    runs = {
        "Image-Level": [evaluation("Image-Level", rule="low", seed=seed, sharpness=0.5) for seed in range(2)],
        "SOS": [evaluation("SOS", seed=seed, c=0.6) for seed in range(2)],
    }
    by_training, by_switching = gains(runs)
    whole, alone = (np.mean([each.right for each in runs[name]]) for name in ("SOS", "Image-Level"))
    assert by_training.value.mean + by_switching.value.mean == pytest.approx(whole - alone)
    own = np.mean([each.test.low.argmax(1) == each.test.label for each in runs["SOS"]])
    assert by_switching.value.mean == pytest.approx(whole - own)
    assert gains({"SOS": runs["SOS"]}) == []


def test_the_promise_is_the_largest_risk_under_which_so_few_errors_are_not_rare(evaluation):
    made = evaluation("SOS", c=0.5)
    promise = settled_risk(made)
    settled = made.validation.low.max(axis=1) > np.float32(0.5)
    wrong = (made.validation.low.argmax(axis=1) != made.validation.label) & settled
    assert (promise.settled, promise.wrong) == (settled.sum(), wrong.sum())
    assert 0 < promise.settled < len(settled)
    assert scipy.stats.binom.cdf(promise.wrong, promise.settled, promise.at_most) == pytest.approx(0.05)


def test_there_is_no_promise_where_nothing_was_settled_or_validated(evaluation):
    assert settled_risk(evaluation("SOS", c=1.0)) is None
    assert settled_risk(evaluation("RDMS", rule="policy")) is None
    nothing = Probabilities(np.zeros(0, np.int64), None, None)
    assert settled_risk(dataclasses.replace(evaluation("SOS"), validation=nothing)) is None
