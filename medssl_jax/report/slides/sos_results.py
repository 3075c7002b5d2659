"""An evaluation of methods as JSON: the numbers behind both tables, each seed, and the answer to every slide."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod
from medssl_jax.metrics.slides.method_scores import MethodScores
from medssl_jax.metrics.slides.sos_comparison import (
    Runs,
    Truth,
    choice_of_c,
    has_raw_seconds,
    scores_of_switch,
)
from medssl_jax.metrics.slides.switch_worth import areas, settled_risk
from medssl_jax.metrics.slides.switching import MeanSeconds
from medssl_jax.report.json_report import single_precision


def evaluation_as_json(
    runs: Runs, scores: Sequence[MethodScores], classes: Sequence[str], needs_high: Truth = None
) -> dict[str, Any]:
    """The content of `results.json`, for `medssl_jax.report.json_report.write_json`; fractions are not rounded.

    Where a seed sent no slide, the seconds of the HRN's part are not defined.
    """
    return {
        "classes": classes,
        "methods": scores,
        "timed_on": "raw" if has_raw_seconds(runs) else "prepared",
        "areas": areas(runs),
        "seeds": [_seed(of_seed, needs_high) for of_seed in zip(*runs.values(), strict=True)],
        "slides": {name: [_slides(each, classes) for each in evaluations] for name, evaluations in runs.items()},
    }


def _seed(evaluations: Sequence[EvaluatedMethod], needs_high: Truth) -> dict[str, Any]:
    return {
        "seed": evaluations[0].seed,
        "methods": {each.name: _run(each, needs_high) for each in evaluations},
    }


def _run(each: EvaluatedMethod, needs_high: Truth) -> dict[str, Any]:
    return {
        "c": each.c,
        "total_accuracy": float(each.right.mean()),
        "low_share": each.low_share,
        "seconds": {"raw": _seconds(each.raw_seconds, each), "prepared": _seconds(each.prepared_seconds, each)},
        "switch": scores_of_switch([each], needs_high),
        "c_by_validation": choice_of_c(each),
        "settled_risk": settled_risk(each),
        "total_accuracy_by_top_k": {count: float(right.mean()) for count, right in each.right_by_top_k().items()},
        "peak_memory_bytes": each.peak_memory_bytes,
    }


def _seconds(seconds: MeanSeconds | None, each: EvaluatedMethod) -> dict[str, float] | None:
    if seconds is None:
        return None
    return {"low_part": seconds.low, "high_part": seconds.high, "per_slide": seconds.per_slide(each.low_share)}


def _slides(each: EvaluatedMethod, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Every answer, so that whatever the tables leave out can be computed later."""
    return [
        {
            "name": slide,
            "label": classes[each.test.label[row]],
            "class": classes[each.predicted[row]],
            "route": "high" if each.sent[row] else "low",
            "low_probability": _digits(each.test.low, row),
            "high_probability": _digits(each.test.high, row),
        }
        for row, slide in enumerate(each.names)
    ]


def _digits(probability: Float[np.ndarray, "slides classes"] | None, row: int) -> list[float] | None:
    return None if probability is None else list(map(single_precision, probability[row].tolist()))
