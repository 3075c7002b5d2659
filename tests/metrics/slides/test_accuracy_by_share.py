"""The curve and its area, each beside the same said slide by slide."""

import itertools

import numpy as np
import pytest

from medssl_jax.metrics.slides.accuracy_by_share import accuracy_by_share

RNG = np.random.default_rng(0)


def slides(number, seed):
    """What slides are settled by, and whose answers are right."""
    rng = np.random.default_rng(seed)
    return rng.random(number).astype(np.float32), rng.random(number) < 0.6, rng.random(number) < 0.8


def once(number):
    return np.ones((1, number), np.int64)


def accuracies_slide_by_slide(settled_by, low, high):
    """The accuracies where none stays low, the one of the largest `settled_by`, the two largest, and so on."""
    order = sorted(range(len(low)), key=lambda each: -settled_by[each])
    return [
        np.mean([low[each] if place < stay else high[each] for place, each in enumerate(order)])
        for stay in range(len(low) + 1)
    ]


def test_the_area_is_the_mean_accuracy_over_all_shares():
    made = slides(30, 1)
    accuracies = accuracies_slide_by_slide(*made)
    (area,) = accuracy_by_share(*made, once(30)).area()
    assert area == pytest.approx(sum((a + b) / 2 for a, b in itertools.pairwise(accuracies)) / 30)


def test_at_a_share_the_accuracy_is_that_of_so_many_slides():
    made = slides(50, 2)
    curve, accuracies = accuracy_by_share(*made, once(50)), accuracies_slide_by_slide(*made)
    for stay in (0, 17, 47, 50):
        assert curve.at(stay / 50)[0] == pytest.approx(accuracies[stay])
    assert curve.at(0.93)[0] == pytest.approx((accuracies[46] + accuracies[47]) / 2)


def test_a_resample_is_its_slides_as_often_as_they_were_drawn():
    made = slides(12, 3)
    drawn = RNG.integers(0, 12, 12)
    found = accuracy_by_share(*made, np.bincount(drawn, minlength=12)[None])
    repeated = accuracy_by_share(*(each[drawn] for each in made), once(12))
    np.testing.assert_allclose(found.area(), repeated.area())
    np.testing.assert_allclose(found.at(0.8), repeated.at(0.8))


def test_among_slides_that_are_settled_by_the_same_the_order_does_not_matter():
    settled_by = np.ones(6)
    low, high = np.array([1, 1, 0, 0, 0, 0], bool), np.array([0, 0, 1, 0, 0, 1], bool)
    orders = [np.random.default_rng(seed).permutation(6) for seed in range(4)]
    for order in orders:
        (area,) = accuracy_by_share(settled_by, low[order], high[order], once(6)).area()
        assert area == pytest.approx(2 / 6)  # two right of six, at either end
