"""The area and the promise, each beside the same said slide by slide."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats

from medssl_jax.metrics.slides.evaluated_method import Probabilities
from medssl_jax.metrics.slides.switch_worth import areas, settled_risk


def area_slide_by_slide(low, high, label):
    """Trapezoids between the accuracies where none stays low, the most confident one, the two most, and so on."""
    order = sorted(range(len(label)), key=lambda each: -low[each].max())
    accuracies = []
    for stay in range(len(label) + 1):
        right = [int((low if place < stay else high)[each].argmax()) == label[each] for place, each in enumerate(order)]
        accuracies.append(sum(right) / len(label))
    return sum((a + b) / 2 for a, b in itertools.pairwise(accuracies)) / len(label)


def test_areas_are_of_the_methods_with_a_switch(evaluation):
    asking = np.linspace(0, 1, 40)
    runs = {
        "Image-Level": [evaluation("Image-Level", rule="low", seed=seed) for seed in range(3)],
        "SOS": [evaluation("SOS", seed=seed) for seed in range(3)],
        "Deferral": [evaluation("Deferral", rule="deferral", asking=asking)],
    }
    of_sos, of_deferral = areas(runs)
    assert [each.name for each in (of_sos, of_deferral)] == ["SOS", "Deferral"]
    by_hand = [area_slide_by_slide(*each.test.both(), each.test.label) for each in runs["SOS"]]
    assert of_sos.value.mean == pytest.approx(np.mean(by_hand))
    assert (of_sos.value.draws, of_deferral.value.draws) == (3, 1)


def test_the_promise_is_the_largest_risk_under_which_so_few_errors_are_not_rare(evaluation):
    made = evaluation("SOS", c=0.5)
    promise = settled_risk(made)
    settled = made.validation.low.max(axis=1) > np.float32(0.5)
    wrong = (made.validation.low.argmax(axis=1) != made.validation.label) & settled
    assert (promise.settled, promise.wrong) == (settled.sum(), wrong.sum())
    assert 0 < promise.settled < len(settled)
    assert scipy.stats.binom.cdf(promise.wrong, promise.settled, promise.at_most) == pytest.approx(0.05)
    settled = made.test.low.max(axis=1) > np.float32(0.5)
    assert promise.on_test == (made.test.low.argmax(axis=1) != made.test.label)[settled].mean()
    unsure = dataclasses.replace(made.test, low=np.full_like(made.test.low, 0.25))
    assert settled_risk(dataclasses.replace(made, test=unsure)) == promise._replace(on_test=None)


def test_there_is_no_promise_where_nothing_was_settled_or_validated(evaluation):
    assert settled_risk(evaluation("SOS", c=1.0)) is None
    assert settled_risk(evaluation("RDMS", rule="policy")) is None
    nothing = Probabilities(np.zeros(0, np.int64), None, None)
    assert settled_risk(dataclasses.replace(evaluation("SOS"), validation=nothing)) is None
