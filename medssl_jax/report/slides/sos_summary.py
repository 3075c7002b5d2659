"""An evaluation of methods in full: both tables, the work of the switches, confusion matrices, the curves over c."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from medssl_jax.core.atomic import write_text
from medssl_jax.metrics.classification import accuracy_of_counts
from medssl_jax.metrics.evaluated_method import EvaluatedMethod
from medssl_jax.metrics.sos_comparison import (
    Difference,
    Runs,
    accuracy_differences,
    choice_of_c,
    curve_on,
    has_raw_seconds,
    mean_low_share,
    mean_seconds_of,
    scores_of_switch,
    seconds_of,
)
from medssl_jax.metrics.switching import MeanSeconds
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.slides.sos_figures import (
    FixedMethod,
    SweptMethod,
    draw_confusions,
    draw_switch_curves,
    write_switch_json,
)
from medssl_jax.report.slides.sos_tables import (
    MethodResult,
    MethodTiming,
    both_tables,
    difference_line,
    heading,
    memory_note,
    results_as_json,
    switch_line,
    timing_table,
)

RAW, PREPARED = "as downloaded", "as prepared"  # which slides were timed
Truth = Bool[np.ndarray, " slides"] | None


def write_summary(
    folder: Path, runs: Runs, classes: Sequence[str], *, is_lks: bool, needs_high: Truth = None, markdown: bool = False
) -> str:
    """Writes `results.json`, `confusion.png`, `switch.png` and `switch.json`; returns what to print.

    `needs_high` is the truth about which test slides show their class at full resolution only, where it is known.
    Times in Table 3 and in the curves are those of slides as downloaded, where they are there. Curves are those of the
    first seed.
    """
    raw = has_raw_seconds(runs)
    results = [method_result(evaluations, raw=raw) for evaluations in runs.values()]
    _write_figures(folder, runs, results, classes, raw=raw)
    content = results_as_json(results, classes) | {
        "timed_on": "raw" if raw else "prepared",
        "differences": [_difference_as_json(each) for each in accuracy_differences(runs)],
        "seeds": _seeds(runs, needs_high),
        "slides": _slides(runs, classes),
    }
    write_text(folder / "results.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    first = next(iter(runs.values()))[0]
    tables = both_tables(
        results,
        classes,
        timed_on=RAW if raw else PREPARED,
        memory_note=memory_note(first.slide_batch, first.patch_batch),
        is_lks=is_lks,
        markdown=markdown,
    )
    lines = [*_switches(runs, needs_high), *_differences(runs), *_choices_of_c(runs)]
    return "\n\n".join([tables, *_timings(runs, markdown=markdown), *lines])


def method_result(evaluations: Sequence[EvaluatedMethod], *, raw: bool) -> MethodResult:
    """One method's line in the tables: the mean over its seeds, of memory the most; times on slides `raw` or prepared.

    RS and parameters are the same with every seed.
    """
    first = evaluations[0]
    low = [each.test.low.argmax(axis=1) for each in evaluations if each.test.low is not None]
    share = mean_low_share(evaluations)
    return MethodResult(
        name=first.name,
        label=first.test.label,
        predicted=np.stack([each.predicted for each in evaluations]),
        low_predicted=np.stack(low) if low else None,
        low_share=share,
        seconds_per_slide=mean_seconds_of(evaluations, raw=raw).per_slide(share),
        parameters=first.parameters,
        peak_memory_bytes=max(each.peak_memory_bytes for each in evaluations),
    )


def _timings(runs: Runs, *, markdown: bool) -> Iterator[str]:
    """IT and SB taken apart, on slides as downloaded and prepared."""
    for raw, kind in ((True, RAW), (False, PREPARED)):
        if raw and not has_raw_seconds(runs):
            continue
        timings = [
            MethodTiming(name, mean_seconds_of(evaluations, raw=raw), mean_low_share(evaluations))
            for name, evaluations in runs.items()
        ]
        yield heading(f"Seconds a slide, slides {kind}", markdown=markdown)
        yield timing_table(timings, markdown=markdown)


def _switches(runs: Runs, needs_high: Truth) -> Iterator[str]:
    if needs_high is None:
        return
    for name, evaluations in runs.items():
        if evaluations[0].has_switch:
            scores = scores_of_switch(evaluations, needs_high)
            yield switch_line(name, scores, len(needs_high) * len(evaluations))


def _differences(runs: Runs) -> Iterator[str]:
    for difference in accuracy_differences(runs):
        name_b = difference.name_b
        if difference.low_share is not None:
            name_b += f" at {difference.name_a}'s LP (LP {difference.low_share:.3f})"
        yield difference_line(difference.name_a, name_b, difference.accuracy)


def _choices_of_c(runs: Runs) -> Iterator[str]:
    for name, evaluations in runs.items():
        for each in evaluations:
            if choice := choice_of_c(each):
                yield (
                    f"{name}, seed {each.seed}: validation would choose c = {choice.c:.3f} (accuracy "
                    f"{choice.validation_accuracy:.3f} on {choice.validation_slides} slides); on the test slides that "
                    f"gives {choice.test_accuracy:.3f} at LP {choice.test_low_share:.2f}"
                )


def _write_figures(
    folder: Path, runs: Runs, results: Sequence[MethodResult], classes: Sequence[str], *, raw: bool
) -> None:
    confusions = {result.name: result.confusion(len(classes)) for result in results}
    write_figure(folder / "confusion.png", draw_confusions(confusions, classes))
    swept, fixed = {}, {}
    for name, (each, *_) in runs.items():
        seconds = seconds_of(each, raw=raw)
        curve = curve_on(each.test, seconds) if each.has_c else None
        if curve is not None:
            swept[name] = SweptMethod(curve, each.c, curve_on(each.validation, seconds))
        else:
            accuracy = accuracy_of_counts(int(each.right.sum()), len(each.right))
            fixed[name] = FixedMethod(accuracy, each.low_share, seconds.per_slide(each.low_share))
    seed = next(iter(runs.values()))[0].seed
    write_figure(folder / "switch.png", draw_switch_curves(swept, fixed, seed=seed))
    write_switch_json(folder / "switch.json", swept, fixed, seed=seed)


def _seeds(runs: Runs, needs_high: Truth) -> list[dict[str, Any]]:
    """The runs of each seed, of which the tables show means."""
    found = []
    for of_seed in zip(*runs.values(), strict=True):
        alone = {each.name: [each] for each in of_seed}
        found.append(
            {
                "seed": of_seed[0].seed,
                "methods": {each.name: _one_run(each, needs_high) for each in of_seed},
                "differences": [_difference_as_json(difference) for difference in accuracy_differences(alone)],
            }
        )
    return found


def _one_run(each: EvaluatedMethod, needs_high: Truth) -> dict[str, Any]:
    scores = scores_of_switch([each], needs_high) if each.has_switch and needs_high is not None else None
    choice = choice_of_c(each)
    return {
        "c": each.c,
        "total_accuracy": float(each.right.mean()),
        "low_share": each.low_share,
        "seconds": {"raw": _seconds(each.raw_seconds, each), "prepared": _seconds(each.prepared_seconds, each)},
        "switch": None if scores is None else _defined(scores._asdict()),
        "c_by_validation": None if choice is None else choice._asdict(),
        "peak_memory_bytes": each.peak_memory_bytes,
    }


def _seconds(seconds: MeanSeconds | None, each: EvaluatedMethod) -> dict[str, Any] | None:
    """The HRN's part is the mean of the slides that were sent, null where none was."""
    if seconds is None:
        return None
    return _defined(
        {"low_part": seconds.low, "high_part": seconds.high, "per_slide": seconds.per_slide(each.low_share)}
    )


def _difference_as_json(difference: Difference) -> dict[str, Any]:
    return difference._asdict() | {"accuracy": difference.accuracy._asdict()}


def _defined(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def _slides(runs: Runs, classes: Sequence[str]) -> dict[str, Any]:
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


def _digits(probability: Float[np.ndarray, "slides classes"] | None, row: int) -> list[float] | None:
    return None if probability is None else [float(f"{value:.9g}") for value in probability[row]]
