"""Evaluated methods over seeds: their seconds, the work of their switches, the c that validation chooses."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod, Probabilities
from medssl_jax.metrics.slides.switching import (
    MeanSeconds,
    SwitchCurve,
    SwitchScores,
    mean_over_runs,
    switch_curve,
    switch_scores,
)

Truth = Bool[np.ndarray, " slides"] | None  # about which test slides need the HRN, where that is known
Runs = Mapping[str, Sequence[EvaluatedMethod]]  # of each method, one a seed, over the same slides and seeds


class ChoiceOfC(NamedTuple):
    """The c of the best accuracy on the validation slides, of several the largest LP; and what it gives on the test."""

    c: float
    validation_slides: int
    validation_accuracy: float
    validation_low_share: float
    test_accuracy: float
    test_low_share: float


def has_raw_seconds(runs: Runs) -> bool:
    """True where all methods were timed on the slides as downloaded, with every seed."""
    return all(each.raw_seconds is not None for evaluations in runs.values() for each in evaluations)


def seconds_of(evaluation: EvaluatedMethod, *, raw: bool) -> MeanSeconds:
    """The mean seconds on slides as downloaded where `raw`, else on prepared ones."""
    seconds = evaluation.raw_seconds if raw else evaluation.prepared_seconds
    assert seconds is not None, "ask has_raw_seconds first"
    return seconds


def mean_seconds_of(evaluations: Sequence[EvaluatedMethod], *, raw: bool) -> MeanSeconds:
    """The mean of `seconds_of` over seeds."""
    return mean_over_runs([seconds_of(each, raw=raw) for each in evaluations], [each.low_share for each in evaluations])


def mean_low_share(evaluations: Sequence[EvaluatedMethod]) -> float:
    """The mean LP over seeds."""
    return float(np.mean([each.low_share for each in evaluations]))


def curve_on(slides: Probabilities, seconds: MeanSeconds) -> SwitchCurve | None:
    """Accuracy, LP and time over c on slides that both networks were asked for; None where there is no slide."""
    if not len(slides.label):
        return None
    return switch_curve(*slides.both(), slides.label, seconds)


def choice_of_c(evaluation: EvaluatedMethod) -> ChoiceOfC | None:
    """The choice by validation; None for a method without c, and where there is no validation slide."""
    if not evaluation.has_c:
        return None
    validation, test = (
        curve_on(slides, evaluation.prepared_seconds) for slides in (evaluation.validation, evaluation.test)
    )
    if validation is None or test is None:
        return None
    best = validation.index_of_best()
    c = float(validation.c[best])
    there = test.index_at(c)
    return ChoiceOfC(
        c=c,
        validation_slides=len(evaluation.validation.label),
        validation_accuracy=float(validation.accuracy[best]),
        validation_low_share=float(validation.low_share[best]),
        test_accuracy=float(test.accuracy[there]),
        test_low_share=float(test.low_share[there]),
    )


def scores_of_switch(evaluations: Sequence[EvaluatedMethod], needs_high: Truth) -> SwitchScores | None:
    """Precision and recall of the switch, its decisions of all seeds counted together.

    None without switch or truth, and where no slide shows its class at full resolution only.
    """
    if needs_high is None or not needs_high.any() or not evaluations[0].has_switch:
        return None
    sent = np.concatenate([each.sent for each in evaluations])
    return switch_scores(sent, np.tile(needs_high, len(evaluations)))
