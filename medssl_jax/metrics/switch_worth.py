"""What switching is worth whatever c is, what training adds to it, and what may be promised of a c."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Bool, Int

from medssl_jax.losses.confidence import switches
from medssl_jax.metrics.bootstrap import draw_counts
from medssl_jax.metrics.evaluated_method import EvaluatedMethod
from medssl_jax.metrics.over_draws import DrawScores, OverDraws, over_draws
from medssl_jax.metrics.sos_comparison import Runs
from medssl_jax.metrics.sos_methods import IMAGE_LEVEL, SOS
from medssl_jax.metrics.worth_table import curve_of

BOOTSTRAPS = 1000
CONFIDENCE = 0.95


class Worth(NamedTuple):
    """A figure or a difference of one, with its name, over slides and trainings."""

    name: str
    value: OverDraws


class SettledRisk(NamedTuple):
    """Of the validation slides that the LRN settles at `c`, those it has `wrong`.

    With probability `confidence` over the validation slides, the LRN is wrong on no more than a share `at_most` of all
    such slides that it settles, if c was chosen without them (selective risk, Geifman & El-Yaniv, arXiv 1705.08500; the
    bound is Clopper and Pearson's).
    """

    c: float
    settled: int
    wrong: int
    at_most: float
    confidence: float


def areas(runs: Runs) -> list[Worth]:
    """The area under accuracy against LP of each method with a switch, then that of SOS less that of each other."""
    scores = {}
    for name, evaluations in runs.items():
        on_all, on_resamples = (
            [curve.area() for each in evaluations if (curve := curve_of(each, _counts(each, once=once)))]
            for once in (True, False)
        )
        if on_all:
            scores[name] = DrawScores(np.concatenate(on_all), np.stack(on_resamples, 1), evaluations[0].names)
    others = [name for name in scores if SOS in scores and name != SOS]
    return [
        *(Worth(name, over_draws(each)) for name, each in scores.items()),
        *(Worth(f"{SOS} - {name}", over_draws(scores[SOS].minus(scores[name]))) for name in others),
    ]


def gains(runs: Runs) -> list[Worth]:
    """SOS's accuracy less Image-Level's, apart: what training both networks did to the LRN, and what switching adds."""
    if not {SOS, IMAGE_LEVEL} <= runs.keys():
        return []
    sos, image_level = runs[SOS], runs[IMAGE_LEVEL]
    own = [each.test.low.argmax(axis=1) == each.test.label for each in sos if each.test.low is not None]
    switched, alone = ([each.right for each in evaluations] for evaluations in (sos, image_level))
    scores = [_accuracies(sos, right) for right in (own, switched, alone)]
    return [
        Worth("by training, SOS's LRN - Image-Level", over_draws(scores[0].minus(scores[2]))),
        Worth("by switching, SOS - SOS's LRN", over_draws(scores[1].minus(scores[0]))),
    ]


def settled_risk(evaluation: EvaluatedMethod, *, confidence: float = CONFIDENCE) -> SettledRisk | None:
    """The promise of a method's own c; None without c, and where the LRN settles no validation slide."""
    slides = evaluation.validation
    if not evaluation.has_c or slides.low is None:
        return None
    settled = ~np.asarray(switches(slides.low, evaluation.c))
    count, wrong = int(settled.sum()), int((slides.low.argmax(axis=1) != slides.label)[settled].sum())
    if not count:
        return None
    test = scipy.stats.binomtest(wrong, count, alternative="less")
    at_most = float(test.proportion_ci(confidence, method="exact").high)
    return SettledRisk(evaluation.c, count, wrong, at_most, confidence)


def _counts(evaluation: EvaluatedMethod, *, once: bool = False) -> Int[np.ndarray, "resamples slides"]:
    """Each slide once, or resamples of slides, the same for all methods and trainings."""
    ones = np.ones(len(evaluation.test.label), np.int64)
    return ones[None] if once else draw_counts(ones, BOOTSTRAPS, 0)


def _accuracies(evaluations: Sequence[EvaluatedMethod], right: Sequence[Bool[np.ndarray, " slides"]]) -> DrawScores:
    rows = np.stack(right)
    resampled = _counts(evaluations[0]) @ rows.T.astype(np.float64) / rows.shape[1]
    return DrawScores(rows.mean(axis=1), resampled, evaluations[0].names)
