"""An evaluation of methods in full: both tables, what the switches did, confusion matrices, the curves over c."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from medssl_jax.atomic import atomic_path
from medssl_jax.metrics.classification import paired_accuracy_difference
from medssl_jax.metrics.switching import (
    MeanSeconds,
    c_for_low_share,
    switch_curve,
    switch_scores,
    switched_classes,
)
from medssl_jax.report.slides.sos_figures import (
    FixedMethod,
    SweptMethod,
    write_confusion_figure,
    write_switch_figure,
    write_switch_json,
)
from medssl_jax.report.slides.sos_tables import (
    IMAGE_LEVEL,
    MULTI_SCALE,
    MethodResult,
    MethodTiming,
    both_tables,
    difference_line,
    results_as_json,
    switch_line,
    timing_table,
)
from medssl_jax.sos_evaluation import Evaluation

SOS, CASCADE = "SOS", "Cascade"
Runs = Mapping[str, Sequence[Evaluation]]  # of each method, one a seed, over the same slides


def write_summary(
    folder: Path,
    runs: Runs,
    classes: Sequence[str],
    *,
    is_lks: bool,
    needs_high: Bool[np.ndarray, " slides"] | None = None,
) -> str:
    """Writes `results.json`, `confusion.png`, `switch.png` and `switch.json`; returns what to print.

    `needs_high` is the truth about which test slides show their class at full resolution only, where it is known.
    Curves are those of the first seed.
    """
    results = [method_result(evaluations) for evaluations in runs.values()]
    parts = [
        both_tables(results, classes, is_lks=is_lks),
        *_timings(runs),
        *_switches(runs, needs_high),
        *_comparisons(runs),
        *_choices_of_c(runs),
    ]
    write_confusion_figure(
        folder / "confusion.png", {result.name: result.confusion(len(classes)) for result in results}, classes
    )
    first = {name: evaluations[0] for name, evaluations in runs.items()}
    swept = {name: SweptMethod(_curve(each), each.c) for name, each in first.items() if each.switches_by_confidence}
    fixed = {
        name: FixedMethod(method_result([each]).accuracy, each.low_share, _seconds_per_slide(each))
        for name, each in first.items()
        if name not in swept
    }
    write_switch_figure(folder / "switch.png", swept, fixed)
    write_switch_json(folder / "switch.json", swept, fixed)
    _write_json(folder / "results.json", results_as_json(results, classes) | {"slides": _slides(runs, classes)})
    return "\n\n".join(parts)


def method_result(evaluations: Sequence[Evaluation]) -> MethodResult:
    """One method's line in the tables: the mean over its runs."""
    first = evaluations[0]
    low = [each.test.low.argmax(axis=1) for each in evaluations if each.test.low is not None]
    return MethodResult(
        name=first.name,
        label=first.test.label,
        predicted=np.stack([each.predicted for each in evaluations]),
        low_predicted=np.stack(low) if low else None,
        low_share=float(np.mean([each.low_share for each in evaluations])),
        seconds_per_slide=float(np.mean([_seconds_per_slide(each) for each in evaluations])),
        parameters=first.parameters,
        peak_memory_bytes=first.peak_memory_bytes,
    )


def _timings(runs):
    """IT and SB taken apart, on slides as downloaded and prepared."""
    for kind, field in (("as downloaded (TIFF)", "raw_seconds"), ("prepared", "prepared_seconds")):
        if all(getattr(each, field) is not None for evaluations in runs.values() for each in evaluations):
            timings = [_timing(name, evaluations, field) for name, evaluations in runs.items()]
            yield f"Seconds a slide, slides {kind}\n\n{timing_table(timings)}"


def _timing(name, evaluations, field):
    parts = np.array([getattr(each, field) for each in evaluations])
    known = ~np.isnan(parts[:, 1])
    high = float(parts[known, 1].mean()) if known.any() else float("nan")
    share = float(np.mean([each.low_share for each in evaluations]))
    return MethodTiming(name, MeanSeconds(float(parts[:, 0].mean()), high), share)


def _switches(runs, needs_high):
    if needs_high is None:
        return
    for name, evaluations in runs.items():
        sent = np.concatenate([each.sent for each in evaluations])
        if 0 < sent.sum() < len(sent):
            yield switch_line(name, switch_scores(sent, np.tile(needs_high, len(evaluations))), len(sent))


def _comparisons(runs):
    if SOS not in runs:
        return
    right = {
        name: np.stack([each.predicted == each.test.label for each in evaluations])
        for name, evaluations in runs.items()
    }
    for name in (IMAGE_LEVEL, MULTI_SCALE, CASCADE):
        if name in runs:
            yield difference_line(SOS, name, paired_accuracy_difference(right[SOS], right[name]))
    if CASCADE in runs:
        at_equal_share = np.stack(
            [_right_at_low_share(each, of_sos.low_share) for each, of_sos in zip(runs[CASCADE], runs[SOS], strict=True)]
        )
        difference = paired_accuracy_difference(right[SOS], at_equal_share)
        yield difference_line(SOS, f"{CASCADE} at SOS's LP", difference)


def _right_at_low_share(evaluation, low_share):
    test = evaluation.test
    c = c_for_low_share(test.low, low_share)
    return switched_classes(test.low, test.high, c) == test.label


def _choices_of_c(runs):
    """For each switch the c that validation would choose: the best accuracy, then the largest LP."""
    for name, evaluations in runs.items():
        for each in evaluations:
            if each.switches_by_confidence:
                curve, on_test = _curve(each, each.validation), _curve(each)
                best = np.flatnonzero(curve.accuracy == curve.accuracy.max())
                chosen = best[curve.low_share[best].argmax()]
                there = on_test.index_at(float(curve.c[chosen]))
                yield (
                    f"{name}: validation would choose c = {curve.c[chosen]:.3f} (accuracy {curve.accuracy[chosen]:.3f} "
                    f"on {len(each.validation.label)} slides); on the test slides that gives "
                    f"{on_test.accuracy[there]:.3f} at LP {on_test.low_share[there]:.2f}"
                )


def _curve(evaluation, slides=None):
    slides = slides or evaluation.test
    return switch_curve(slides.low, slides.high, slides.label, _best_seconds(evaluation))


def _best_seconds(evaluation):
    return evaluation.raw_seconds or evaluation.prepared_seconds


def _seconds_per_slide(evaluation):
    return float(_best_seconds(evaluation).per_slide(evaluation.low_share))


def _slides(runs, classes) -> dict[str, Any]:
    """Every answer, so that whatever the tables leave out can be computed later."""
    return {
        name: [
            [
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
            for each in evaluations
        ]
        for name, evaluations in runs.items()
    }


def _digits(probability, row):
    return None if probability is None else [float(f"{value:.9g}") for value in probability[row]]


def _write_json(path, content):
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
