"""The classes given to slides, as CSV for programs and people and as JSON with everything to trace them by."""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import csv_text
from medssl_jax.core.versions import versions
from medssl_jax.data.slides.slide_appearance import AppearanceStatistics
from medssl_jax.inference.selective import HIGH_STAGES, LOW_STAGES, SlideResult
from medssl_jax.metrics.slides.switch_budget import SwitchChoice
from medssl_jax.report.json_report import single_precision
from medssl_jax.report.provenance import RESEARCH_USE, ModelCard
from medssl_jax.report.slides.slide_notices import SlideReading, reading_as_json, reading_notices, unlike_training

STAGES = (*LOW_STAGES, *HIGH_STAGES)
READER_PACKAGES = ("imagecodecs", "simplejpeg")
MOST_ATTENDED = 10  # patches a slide in the JSON report


class ClassifierCard(ModelCard):
    """The identity of a classifier."""

    @property
    def trained_on(self) -> str:
        """The training slides in words."""
        return "phantom (synthetic slides)" if self.trained_on_phantom else "LKS"


@dataclasses.dataclass(frozen=True, eq=False)
class SlideReport:
    """The slides in the order they were looked at, and what looked at them.

    `rule` and `c` are those of the switch. `refused` says of files that could not be read why, by name without folder.
    `are_phantom_slides` says that the slides themselves are synthetic. `readings` say by name what was read of a slide,
    `training` how those looked that the classifier was trained on, None where that is not known; `chosen` is what a
    budget of seconds a slide set the switch to, None without one.
    """

    classifier: ClassifierCard
    classes: tuple[str, ...]
    rule: str
    c: float
    are_phantom_slides: bool
    results: tuple[SlideResult, ...]
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    readings: Mapping[str, SlideReading] = dataclasses.field(default_factory=dict)
    training: AppearanceStatistics | None = None
    chosen: SwitchChoice | None = None

    @property
    def settled_low(self) -> int:
        """The number of slides that the LRN settled."""
        return sum(result.route == "low" for result in self.results)

    @property
    def without_foreground(self) -> tuple[str, ...]:
        """Names of slides in which every patch is background."""
        return tuple(result.name for result in self.results if not result.foreground.any())

    @functools.cached_property
    def unlike_training(self) -> dict[str, str]:
        """The figures in which slides are far from those of training, by their names."""
        found = {name: unlike_training(reading, self.training) for name, reading in self.readings.items()}
        return {name: words for name, words in found.items() if words}


def deciding_probability(result: SlideResult) -> Float[np.ndarray, " classes"]:
    """The probabilities of the network that gave the class."""
    probability = result.low_probability if result.route == "low" else result.high_probability
    if probability is None:
        raise ValueError(f"{result.name}: route {result.route} without its probabilities")
    return probability


def total_seconds(result: SlideResult) -> float:
    """All stages together."""
    return sum(result.seconds.values())


def result_columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The header of `results.csv`."""
    return (
        *("slide", "class", "probability", "route"),
        *(f"low_{name}" for name in classes),
        *(f"high_{name}" for name in classes),
        *(f"seconds_{stage}" for stage in STAGES),
        *("seconds", "foreground_patches"),
    )


def write_results_csv(path: str | os.PathLike[str], report: SlideReport) -> None:
    """Writes one line a slide; cells of a network or stage that did not run are empty."""
    rows = (_row(result, report.classes) for result in report.results)
    write_text(path, csv_text([result_columns(report.classes), *rows]))


def results_as_json(report: SlideReport) -> dict[str, Any]:
    """The slides with the classifier and the software they come from; names of files, no folders."""
    return {
        "intended_use": RESEARCH_USE,
        "are_phantom_slides": report.are_phantom_slides,
        "classes": list(report.classes),
        "classifier": report.classifier.as_json(),
        "switch": {"rule": report.rule, "c": report.c}
        | ({"chosen_by_budget": report.chosen._asdict()} if report.chosen else {}),
        "versions": versions(READER_PACKAGES),
        "training_slides": report.training and report.training.as_json(),
        "slides": [_slide_as_json(result, report) for result in report.results],
        "refused": dict(report.refused),
    }


def summary(report: SlideReport) -> str:
    """The classes in a few lines for the terminal."""
    slides = len(report.results)
    counts = np.bincount([result.label for result in report.results], minlength=len(report.classes))
    given = ", ".join(f"{number} {name}" for number, name in zip(counts, report.classes, strict=True) if number)
    card = report.classifier
    lines = []
    if slides:
        seconds = sum(map(total_seconds, report.results)) / slides
        sent = slides - report.settled_low
        lines.append(f"{slides} slides: {given}")
        lines.append(
            f"{report.settled_low} settled at low resolution, {sent} sent to full resolution; {seconds:.3g} s a slide"
        )
    if report.chosen:
        c, top_k, accuracy, low_share, expected = report.chosen
        patches = f"the {top_k} most telling patches" if top_k else "all patches"
        lines.append(
            f"for the budget c = {c:.4g} and {patches}: on the validation slides TA {100 * accuracy:.2f} at LP "
            f"{low_share:.2f} and {expected:.3g} s a slide, on the machine of the run"
        )
    lines.append(f"classifier: {card.run}, step {card.step}, trained on {card.trained_on}")
    if card.trained_on_phantom and not report.are_phantom_slides:
        lines.append("a classifier trained on synthetic slides only: its classes say nothing about a patient")
    lines += card.told
    lines += reading_notices(report.readings, report.training)
    lines += [f"{name}: no tissue found, its class means little" for name in report.without_foreground]
    lines += [f"{name}: {words}" for name, words in report.unlike_training.items()]
    lines += [f"not read: {reason}" for reason in report.refused.values()]
    return "\n".join([*lines, RESEARCH_USE])


def _row(result: SlideResult, classes: tuple[str, ...]) -> list[str | int]:
    blank = [""] * len(classes)
    # 9 digits tell any two float32 apart.
    low, high = (
        blank if vector is None else [f"{value:.9g}" for value in vector]
        for vector in (result.low_probability, result.high_probability)
    )
    given = f"{deciding_probability(result)[result.label]:.9g}"
    seconds = [f"{result.seconds[stage]:.4f}" if stage in result.seconds else "" for stage in STAGES]
    cells = [result.name, classes[result.label], given, result.route, *low, *high, *seconds]
    return [*cells, f"{total_seconds(result):.4f}", int(result.foreground.sum())]


def _slide_as_json(result: SlideResult, report: SlideReport) -> dict[str, Any]:
    classes, reading = report.classes, report.readings.get(result.name)
    return {
        "name": result.name,
        "class": classes[result.label],
        "route": result.route,
        "low_probability": _by_class(result.low_probability, classes),
        "high_probability": _by_class(result.high_probability, classes),
        "seconds": {stage: round(seconds, 6) for stage, seconds in result.seconds.items()},
        "foreground_patches": int(result.foreground.sum()),
        "most_attended_patches": _most_attended(result),
        "read": reading and reading_as_json(reading, report.training),
    }


def _by_class(probability: Float[np.ndarray, " classes"] | None, classes: Sequence[str]) -> dict[str, float] | None:
    if probability is None:
        return None
    return {name: single_precision(value) for name, value in zip(classes, probability.tolist(), strict=True)}


def _most_attended(result: SlideResult) -> list[dict[str, Any]] | None:
    if result.attention is None:
        return None
    grid = round(len(result.attention) ** 0.5)
    places = np.argsort(-result.attention, kind="stable")[:MOST_ATTENDED].tolist()
    attention = [single_precision(value) for value in result.attention[places].tolist()]
    return [
        {"row": place // grid, "column": place % grid, "attention": value}
        for place, value in zip(places, attention, strict=True)
        if value > 0
    ]
