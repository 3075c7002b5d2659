"""Table 3 (methods) and Table 4 (classes) of the SOS paper, ours with the paper's figures to set beside.

The paper's figures are those of LKS's 205 test slides. They stand beside ours only where ours are of LKS too; for other
data they come under a heading of their own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from medssl_jax.metrics.classification import (
    ClassScores,
    Estimate,
    accuracy_of_counts,
    class_scores,
    confusion_matrix,
    total_accuracy,
)
from medssl_jax.metrics.sos_methods import IMAGE_LEVEL, MULTI_SCALE
from medssl_jax.metrics.switching import MeanSeconds, SwitchScores, speed_boost
from medssl_jax.report.slides.sos_paper import PAPER, PAPER_SLIDES, PaperRow
from medssl_jax.report.text_table import text_table

PAPER_HEADING = "The paper's results on LKS (205 test slides), which the data above is not"
TABLE_3_COLUMNS = (
    "method",
    "TA %",
    "95 % interval",
    "right",
    "RS",
    "parameters",
    "peak memory",
    "IT s",
    "SB",
    "LP",
    "LRN's TA %",
)
SCORES = ("F1", "PR", "RE", "SP")


@dataclass(frozen=True, eq=False)
class MethodResult:
    """The classes that one method gave to the test slides, in one run or in several (seeds) over the same slides.

    `low_predicted` is what its LRN says alone. `low_share` and `seconds_per_slide` are means over runs. None: not
    measured, or the method has no such part.
    """

    name: str
    label: Int[np.ndarray, " slides"]
    predicted: Int[np.ndarray, "runs slides"]
    low_predicted: Int[np.ndarray, "runs slides"] | None = None
    low_share: float | None = None
    seconds_per_slide: float | None = None
    parameters: int | None = None
    peak_memory_bytes: int | None = None

    @property
    def accuracy(self) -> Estimate:
        """TA as a fraction."""
        return total_accuracy(self.predicted == self.label)

    @property
    def low_accuracy(self) -> Estimate | None:
        """TA of its LRN alone."""
        return None if self.low_predicted is None else total_accuracy(self.low_predicted == self.label)

    def confusion(self, classes: int) -> Int[np.ndarray, "classes classes"]:
        """Slides of each class (row) given each class (column), summed over runs."""
        return sum(
            (confusion_matrix(self.label, predicted, classes) for predicted in self.predicted),
            np.zeros((classes, classes), np.int64),
        )


class MethodTiming(NamedTuple):
    """The time of a method on slides of one kind, raw or prepared."""

    name: str
    seconds: MeanSeconds
    low_share: float

    @property
    def seconds_per_slide(self) -> float:
        """IT."""
        return self.seconds.per_slide(self.low_share)


def heading(text: str, *, markdown: bool) -> str:
    """The line above a table."""
    return f"## {text}" if markdown else text


def both_tables(
    results: Sequence[MethodResult],
    classes: Sequence[str],
    *,
    timed_on: str,
    memory_note: str,
    is_lks: bool,
    markdown: bool = False,
) -> str:
    """Table 3 and Table 4 with their headings; where the data is not LKS, the paper's tables follow.

    `timed_on` says which slides IT and SB were measured on, such as "as downloaded"; `memory_note` what the peak memory
    is.
    """
    parts = [
        heading(
            f"Methods: total accuracy (TA), size (RS), seconds a slide (IT) and speed against {MULTI_SCALE} (SB) on "
            f"slides {timed_on}, share settled at low resolution (LP)",
            markdown=markdown,
        ),
        table_3(results, beside_paper=is_lks, markdown=markdown),
        memory_note,
        heading("Classes: F1, precision (PR), recall (RE), specificity (SP)", markdown=markdown),
        table_4(results, classes, beside_paper=is_lks, markdown=markdown),
    ]
    if not is_lks:
        paper = heading(PAPER_HEADING, markdown=markdown)
        parts += [paper, paper_table_3(markdown=markdown), paper_table_4(markdown=markdown)]
    return "\n\n".join(parts)


def memory_note(slide_batch: int, patch_batch: int) -> str:
    """The note below Table 3."""
    return (
        "Peak memory is the compiler's account of the largest compiled program: parameters, images and scratch, with "
        f"inference.slide_batch = {slide_batch} and inference.patch_batch = {patch_batch}."
    )


def table_3(results: Sequence[MethodResult], *, beside_paper: bool, markdown: bool = False) -> str:
    """One line a method; `beside_paper` puts the paper's line under each method that it has."""
    by_name = {result.name: result for result in results}
    rows: list[Sequence[str]] = [TABLE_3_COLUMNS]
    for result in results:
        rows.append(_method_cells(result, by_name.get(IMAGE_LEVEL), by_name.get(MULTI_SCALE)))
        if beside_paper and result.name in PAPER:
            rows.append(_paper_cells("  paper", PAPER[result.name]))
    return text_table(rows, markdown=markdown)


def table_4(
    results: Sequence[MethodResult], classes: Sequence[str], *, beside_paper: bool, markdown: bool = False
) -> str:
    """One line a class and method; `beside_paper` adds the paper's four columns."""
    scores = {result.name: class_scores(result.confusion(len(classes))) for result in results}
    header = ["class", "method", *SCORES, *([f"paper {score}" for score in SCORES] if beside_paper else [])]
    rows = [header]
    for place, name in enumerate(classes):
        slides = int((results[0].label == place).sum()) if results else 0
        for line, (method, of_classes) in enumerate(scores.items()):
            cells = [f"{name} ({slides})" if line == 0 else "", method, *_class_cells(of_classes, place)]
            if beside_paper:
                paper = PAPER[method].class_scores.get(name) if method in PAPER else None
                cells += [f"{score:.4f}" for score in paper] if paper else ["-"] * len(SCORES)
            rows.append(cells)
    return text_table(rows, markdown=markdown, names=2)


def paper_table_3(*, markdown: bool = False) -> str:
    """The paper's Table 3; the intervals are ours, Wilson's of its counts."""
    rows = [TABLE_3_COLUMNS, *(_paper_cells(name, row) for name, row in PAPER.items())]
    shown = [place for place in range(len(TABLE_3_COLUMNS)) if any(row[place] != "-" for row in rows[1:])]
    return text_table([[row[place] for place in shown] for row in rows], markdown=markdown)


def paper_table_4(*, markdown: bool = False) -> str:
    """The paper's Table 4."""
    rows = [["class", "method", *SCORES]]
    for name, slides in PAPER_SLIDES.items():
        for line, (method, paper) in enumerate(PAPER.items()):
            first = f"{name} ({slides})" if line == 0 else ""
            rows.append([first, method, *(f"{score:.4f}" for score in paper.class_scores[name])])
    return text_table(rows, markdown=markdown, names=2)


def difference_line(name_a: str, name_b: str, difference: Estimate) -> str:
    """A paired difference of total accuracy, in points of a hundred."""
    value, low, high = (100 * end for end in difference)
    return f"{name_a} - {name_b}: TA {value:+.2f} points (95 % interval {low:+.2f} to {high:+.2f})"


def switch_line(name: str, scores: SwitchScores, slides: int) -> str:
    """A line on how well a switch sends the slides that need the HRN."""
    return (
        f"{name}: {scores.sent} of {slides} slides sent to the HRN, {scores.needed} need it, {scores.sent_and_needed} "
        f"are both: precision {_number(scores.precision, '.2f')} (at random {_number(scores.chance, '.2f')}), "
        f"recall {_number(scores.recall, '.2f')}"
    )


def timing_table(timings: Sequence[MethodTiming], *, markdown: bool = False) -> str:
    """The parts of IT: mean seconds of the LRN's part, of the HRN's part where it ran, and LP."""
    multi_scale = {timing.name: timing for timing in timings}.get(MULTI_SCALE)
    rows = [["method", "LRN's part s", "HRN's part s", "LP", "IT s", "SB"]]
    for timing in timings:
        boost = speed_boost(timing.seconds_per_slide, multi_scale.seconds_per_slide) if multi_scale else None
        cells = [_seconds(timing.seconds.low), _seconds(timing.seconds.high), _number(timing.low_share, ".2f")]
        rows.append([timing.name, *cells, _seconds(timing.seconds_per_slide), _number(boost, ".2f")])
    return text_table(rows, markdown=markdown)


def results_as_json(results: Sequence[MethodResult], classes: Sequence[str]) -> dict[str, Any]:
    """The numbers behind both tables, fractions unrounded; what is not defined is null."""
    by_name = {result.name: result for result in results}
    return {
        "classes": list(classes),
        "methods": [
            {
                "method": result.name,
                "slides": len(result.label),
                "runs": len(result.predicted),
                "total_accuracy": result.accuracy._asdict(),
                "low_network_accuracy": None if result.low_accuracy is None else result.low_accuracy._asdict(),
                "low_share": result.low_share,
                "seconds_per_slide": result.seconds_per_slide,
                "speed_boost": _speed_boost(result, by_name.get(MULTI_SCALE)),
                "relative_size": _relative_size(result, by_name.get(IMAGE_LEVEL)),
                "parameters": result.parameters,
                "peak_memory_bytes": result.peak_memory_bytes,
                "confusion": result.confusion(len(classes)).tolist(),
                "class_scores": {
                    score: [None if math.isnan(value) else value for value in values.tolist()]
                    for score, values in class_scores(result.confusion(len(classes)))._asdict().items()
                },
            }
            for result in results
        ],
    }


def _method_cells(
    result: MethodResult, image_level: MethodResult | None, multi_scale: MethodResult | None
) -> list[str]:
    low_accuracy = result.low_accuracy
    right = (result.predicted == result.label).sum(axis=1).mean()
    return [
        result.name,
        *_accuracy_cells(result.accuracy),
        f"{right:.0f}" if len(result.predicted) == 1 else f"{right:.1f}",
        _number(_relative_size(result, image_level), ".2f"),
        "-" if result.parameters is None else f"{result.parameters / 1e6:.2f} M",
        "-" if result.peak_memory_bytes is None else f"{result.peak_memory_bytes / 1e9:.2f} GB",
        _seconds(result.seconds_per_slide),
        _number(_speed_boost(result, multi_scale), ".2f"),
        _number(result.low_share, ".2f"),
        "-" if low_accuracy is None else f"{100 * low_accuracy.value:.2f}",
    ]


def _paper_cells(name: str, row: PaperRow) -> list[str]:
    return [
        name,
        *_accuracy_cells(accuracy_of_counts(row.right, sum(PAPER_SLIDES.values()))),
        str(row.right),
        f"{row.relative_size:.2f}",
        "-",
        "-",
        f"{row.seconds_per_slide:.2f}",
        f"{row.speed_boost:.2f}",
        _number(row.low_share, ".2f"),
        "-",
    ]


def _accuracy_cells(accuracy: Estimate) -> list[str]:
    value, low, high = (100 * end for end in accuracy)
    return [f"{value:.2f}", f"{low:.2f} to {high:.2f}"]


def _class_cells(scores: ClassScores, place: int) -> list[str]:
    return [_number(float(score[place]), ".4f") for score in scores]


def _relative_size(result: MethodResult, image_level: MethodResult | None) -> float | None:
    if image_level is None or not image_level.parameters or result.parameters is None:
        return None
    return result.parameters / image_level.parameters


def _speed_boost(result: MethodResult, multi_scale: MethodResult | None) -> float | None:
    if multi_scale is None or multi_scale.seconds_per_slide is None or result.seconds_per_slide is None:
        return None
    return speed_boost(result.seconds_per_slide, multi_scale.seconds_per_slide)


def _seconds(value: float | None) -> str:
    return _number(value, ".3f" if value is not None and value < 1 else ".2f")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"
