"""The line of each method in SOS's tables, over its seeds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from medssl_jax.metrics.slides.classification import (
    ClassScores,
    Estimate,
    class_scores,
    confusion_matrix,
    total_accuracy,
)
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod
from medssl_jax.metrics.slides.sos_comparison import Runs, has_raw_seconds, mean_low_share, mean_seconds_of
from medssl_jax.metrics.slides.sos_methods import IMAGE_LEVEL, MULTI_SCALE
from medssl_jax.metrics.slides.switching import speed_boost


class MethodTimes(NamedTuple):
    """Seconds of the LRN's part and of the HRN's (nan: none sent), LP, IT, and SB (None: Multi-Scale is not there).

    `of_ceiling` is the speed as a share of Image-Level's, faster than which nothing is that looks at every slide (None:
    it is not there), `waiting` the share of the time in which the networks wait for pixels (None: not measured).
    """

    low: float
    high: float
    low_share: float
    per_slide: float
    speed_boost: float | None
    of_ceiling: float | None
    waiting: float | None = None


class MethodScores(NamedTuple):
    """All figures of a method over its seeds, as `results.json` holds them; accuracies are fractions.

    `low_network_accuracy` is that of its LRN alone, None where it has none, `relative_size` RS, None where Image-Level
    is not there; memory is the most of all seeds. `confusion` counts slides of each class (row) given each class
    (column), summed over seeds.
    """

    method: str
    slides: int
    runs: int
    total_accuracy: Estimate
    low_network_accuracy: Estimate | None
    low_share: float
    seconds_per_slide: float
    speed_boost: float | None
    relative_size: float | None
    parameters: int
    peak_memory_bytes: int
    confusion: Int[np.ndarray, "classes classes"]
    class_scores: ClassScores


def times_of_methods(runs: Runs, *, raw: bool) -> dict[str, MethodTimes]:
    """The times of each method on slides as downloaded where `raw`, else on prepared ones."""
    seconds = {name: mean_seconds_of(evaluations, raw=raw) for name, evaluations in runs.items()}
    low_share = {name: mean_low_share(evaluations) for name, evaluations in runs.items()}
    per_slide = {name: seconds[name].per_slide(low_share[name]) for name in runs}
    multi_scale = per_slide.get(MULTI_SCALE)
    boost = {name: None if multi_scale is None else speed_boost(per_slide[name], multi_scale) for name in runs}
    ceiling = per_slide.get(IMAGE_LEVEL)
    return {
        name: MethodTimes(
            *seconds[name],
            low_share=low_share[name],
            per_slide=per_slide[name],
            speed_boost=boost[name],
            of_ceiling=None if ceiling is None else ceiling / per_slide[name],
        )
        for name in runs
    }


def scores_of_methods(runs: Runs, classes: int) -> list[MethodScores]:
    """The scores of each method; times are those on slides as downloaded, where they are there."""
    times = times_of_methods(runs, raw=has_raw_seconds(runs))
    image_level = runs[IMAGE_LEVEL][0].parameters if IMAGE_LEVEL in runs else None
    return [_scores(evaluations, times[name], image_level, classes) for name, evaluations in runs.items()]


def _scores(
    evaluations: Sequence[EvaluatedMethod], times: MethodTimes, image_level_parameters: int | None, classes: int
) -> MethodScores:
    first = evaluations[0]
    low = [each.test.low.argmax(axis=1) == each.test.label for each in evaluations if each.test.low is not None]
    confusions = [confusion_matrix(each.test.label, each.predicted, classes) for each in evaluations]
    confusion = np.sum(confusions, axis=0)
    return MethodScores(
        method=first.name,
        slides=len(first.test.label),
        runs=len(evaluations),
        total_accuracy=total_accuracy(np.stack([each.right for each in evaluations])),
        low_network_accuracy=total_accuracy(np.stack(low)) if low else None,
        low_share=times.low_share,
        seconds_per_slide=times.per_slide,
        speed_boost=times.speed_boost,
        relative_size=first.parameters / image_level_parameters if image_level_parameters else None,
        parameters=first.parameters,
        peak_memory_bytes=max(each.peak_memory_bytes for each in evaluations),
        confusion=confusion,
        class_scores=class_scores(confusion),
    )
