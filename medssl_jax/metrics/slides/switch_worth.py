"""What switching is worth whatever its threshold is, and what may be promised of a c."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Int

from medssl_jax.losses.confidence import switches
from medssl_jax.metrics.bootstrap import draw_counts
from medssl_jax.metrics.over_draws import DrawScores, OverDraws, over_draws
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod, Probabilities
from medssl_jax.metrics.slides.sos_comparison import Runs
from medssl_jax.metrics.slides.worth_table import curve_of, once

BOOTSTRAPS = 1000
CONFIDENCE = 0.95


class Worth(NamedTuple):
    """A method's figure, with its name, over slides and trainings."""

    name: str
    value: OverDraws


class SettledRisk(NamedTuple):
    """Of the validation slides that the LRN settles at `c`, those it has `wrong`.

    With probability `confidence` over the validation slides, the LRN is wrong on no more than a share `at_most` of all
    such slides that it settles, if c was chosen without them (selective risk, Geifman & El-Yaniv, arXiv 1705.08500; the
    bound is Clopper and Pearson's). `on_test` is the share that it has wrong of the test slides that it settles, None
    where these are none.
    """

    c: float
    settled: int
    wrong: int
    at_most: float
    confidence: float
    on_test: float | None


def areas(runs: Runs) -> list[Worth]:
    """The area under accuracy against LP of each method with a switch."""
    found = []
    for name, evaluations in runs.items():
        on_all, on_resamples = (
            [curve.area() for each in evaluations if (curve := curve_of(each, counts))]
            for counts in (once(evaluations[0]), _resamples(evaluations[0]))
        )
        if on_all:
            scores = DrawScores(np.concatenate(on_all), np.stack(on_resamples, 1), evaluations[0].names)
            found.append(Worth(name, over_draws(scores)))
    return found


def settled_risk(evaluation: EvaluatedMethod, *, confidence: float = CONFIDENCE) -> SettledRisk | None:
    """The promise of a method's own c; None without c, and where the LRN settles no validation slide."""
    if not evaluation.has_c or evaluation.validation.low is None:
        return None
    settled, wrong = _settled(evaluation.validation, evaluation.c)
    if not settled:
        return None
    test = scipy.stats.binomtest(wrong, settled, alternative="less")
    at_most = float(test.proportion_ci(confidence, method="exact").high)
    settled_on_test, wrong_on_test = _settled(evaluation.test, evaluation.c)
    on_test = wrong_on_test / settled_on_test if settled_on_test else None
    return SettledRisk(evaluation.c, settled, wrong, at_most, confidence, on_test)


def _settled(slides: Probabilities, c: float) -> tuple[int, int]:
    """How many slides the LRN settles, and how many of these wrongly."""
    assert slides.low is not None
    settled = ~np.asarray(switches(slides.low, c))
    return int(settled.sum()), int((slides.low.argmax(axis=1) != slides.label)[settled].sum())


def _resamples(evaluation: EvaluatedMethod) -> Int[np.ndarray, "resamples slides"]:
    """Resamples of slides, the same for all methods and trainings."""
    return draw_counts(np.ones(len(evaluation.test.label), np.int64), BOOTSTRAPS, 0)
