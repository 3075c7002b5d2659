"""A slide is far from those of training by their standard deviation in one of two figures, and by no less than 0.04."""

import json

import numpy as np
import pytest

from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics, Spread, appearance_of

# Brightness 0.2 with a deviation of 0.02, tissue 0.5 with one of 0.1.
TRAINING = AppearanceStatistics.of(
    [Appearance(0.18, 0.4), Appearance(0.22, 0.6), Appearance(0.22, 0.4), Appearance(0.18, 0.6)]
)


def test_the_look_of_a_slide():
    image = np.zeros((4, 4), np.uint8)
    image[:2] = 255
    appearance = appearance_of(image, np.array([True, False, False, False]))
    assert appearance == Appearance(brightness=0.5, tissue=0.25)


def test_mean_and_deviation_are_those_of_numpy():
    appearances = [Appearance(*pair) for pair in np.random.default_rng(0).random((9, 2)).tolist()]
    spread = AppearanceStatistics.of(iter(appearances))
    for place, name in enumerate(("brightness", "tissue")):
        figures = np.array(appearances)[:, place]
        assert getattr(spread, name) == pytest.approx((figures.mean(), figures.std()))


@pytest.mark.parametrize(
    ("appearance", "far"),
    [
        (Appearance(0.2, 0.5), ()),
        (Appearance(0.279, 0.5), ()),
        (Appearance(0.281, 0.5), ("brightness",)),
        (Appearance(0.119, 0.5), ("brightness",)),
        (Appearance(0.2, 0.899), ()),
        (Appearance(0.2, 0.901), ("tissue",)),
        (Appearance(0.2, 0.099), ("tissue",)),
        (Appearance(1.0, 1.0), ("brightness", "tissue")),
        (Appearance(0.0, 0.0), ("brightness", "tissue")),
    ],
)
def test_far_is_four_deviations_from_the_mean(appearance, far):
    assert TRAINING.far_from(appearance) == far


@pytest.mark.parametrize(("brightness", "far"), [(0.239, ()), (0.241, ("brightness",))])
def test_training_slides_that_are_all_alike_still_leave_room(brightness, far):
    alike = AppearanceStatistics(brightness=Spread(0.2, 0.0), tissue=Spread(1.0, 0.0))
    assert alike.far_from(Appearance(brightness, 1.0)) == far


def test_it_goes_through_json_unchanged():
    assert AppearanceStatistics.from_json(json.loads(json.dumps(TRAINING.as_json()))) == TRAINING
