"""What a switch is set to for a budget of seconds a slide, from its curves on validation slides."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.slides.switching import SwitchCurve


class SwitchChoice(NamedTuple):
    """A `c` and how many patches the HRN looks at (0: all), with what they gave on the validation slides."""

    c: float
    top_k: int
    accuracy: float
    low_share: float
    seconds_per_slide: float


def choice_within(curves: Mapping[int, SwitchCurve], budget: float) -> SwitchChoice:
    """The choice of the best accuracy within `budget` seconds a slide; of equals the fastest.

    `curves` are those of each number of patches. Raises `InputError` where no choice is as fast.
    """
    choices = [
        SwitchChoice(float(c), top_k, float(accuracy), float(low_share), float(seconds))
        for top_k, curve in curves.items()
        for c, low_share, accuracy, seconds in zip(
            curve.c, curve.low_share, curve.accuracy, curve.seconds_per_slide, strict=True
        )
        if not np.isnan(seconds)
    ]
    within = [each for each in choices if each.seconds_per_slide <= budget]
    if not within:
        fastest = min((each.seconds_per_slide for each in choices), default=float("nan"))
        raise InputError(
            f"budget is {budget:g} seconds a slide, expected {fastest:.3g} or more, which this run took where its LRN "
            "settled all slides: give more, or a faster machine's run"
        )
    return max(within, key=lambda each: (each.accuracy, -each.seconds_per_slide))
