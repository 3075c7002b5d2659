"""Methods side by side on the same slides: what each gives to them, what both its networks say, how long it takes.

Times are taken in turn: a few slides by every method, then the next few, so that a machine that slows down slows all of
them alike.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from data_builders.lks import files as lks_files
from medssl_jax.data.sources import LksSource
from medssl_jax.inference.selective import SelectiveClassifier, SlideResult
from medssl_jax.metrics.switching import MeanSeconds, low_share, mean_seconds
from medssl_jax.progress import Progress, silent
from medssl_jax.slides import Slide, open_slide
from medssl_jax.sos_run import SlideSplit, TrainedMethod

LOW_STAGES, HIGH_STAGES = ("low_resolution_read", "low_network"), ("patch_read", "high_network")

OpenSlide = Callable[[], Slide]


@dataclasses.dataclass(frozen=True, eq=False)
class Probabilities:
    """What both networks say of slides, whoever decides; None where the method has no such network."""

    label: Int[np.ndarray, " slides"]
    low: Float[np.ndarray, "slides classes"] | None
    high: Float[np.ndarray, "slides classes"] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """One trained method on the test slides. `raw_seconds` is None where the slides as downloaded are gone."""

    name: str
    c: float
    switches_by_confidence: bool
    names: tuple[str, ...]
    predicted: Int[np.ndarray, " slides"]
    sent: Bool[np.ndarray, " slides"]
    test: Probabilities
    validation: Probabilities
    prepared_seconds: MeanSeconds
    raw_seconds: MeanSeconds | None
    parameters: int
    peak_memory_bytes: int

    @property
    def low_share(self) -> float:
        """LP."""
        return low_share(self.sent)


def evaluate(
    methods: Mapping[str, TrainedMethod], source: LksSource, split: SlideSplit, progress: Progress = silent
) -> dict[str, Evaluation]:
    """Every method on the test slides of `source`; `progress` wraps each of the passes over slides."""
    classifiers = {name: method.classifier() for name, method in methods.items()}
    prepared = [functools.partial(source.slide, index) for index in split.test]
    by_name = classify_in_turn(classifiers, prepared, progress)
    raw = raw_slides(next(iter(methods.values())), source, split.test)
    raw_by_name = classify_in_turn(classifiers, raw, progress) if raw else None
    return {
        name: Evaluation(
            name=name,
            c=method.config.inference.c,
            switches_by_confidence=method.config.inference.rule == "confidence",
            names=tuple(result.name for result in by_name[name]),
            predicted=np.array([result.label for result in by_name[name]]),
            sent=_sent(by_name[name]),
            test=both_networks(method, source, split.test),
            validation=both_networks(method, source, split.validation),
            prepared_seconds=_seconds(by_name[name]),
            raw_seconds=_seconds(raw_by_name[name]) if raw_by_name else None,
            parameters=sum(leaf.size for leaf in jax.tree.leaves(method.params)),
            peak_memory_bytes=classifiers[name].peak_memory_bytes,
        )
        for name, method in methods.items()
    }


def classify_in_turn(
    classifiers: Mapping[str, SelectiveClassifier], slides: Sequence[OpenSlide], progress: Progress = silent
) -> dict[str, list[SlideResult]]:
    """The results of each classifier, in the order of `slides`; every classifier opens and reads each for itself.

    Which one goes first changes from batch to batch: it is the one that finds the files unread.
    """
    results: dict[str, list[SlideResult]] = {name: [] for name in classifiers}
    names = list(classifiers)
    size = max(classifier.slide_batch for classifier in classifiers.values())
    batches = [slides[start : start + size] for start in range(0, len(slides), size)]
    for turn, batch in enumerate(progress(batches)):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            results[name] += classifiers[name](open_one() for open_one in batch)
    return results


def raw_slides(method: TrainedMethod, source: LksSource, indices: Sequence[int]) -> list[OpenSlide]:
    """The slides as they were downloaded; none where `data.manual_dir` does not hold them any more."""
    folder = Path(method.config.data.manual_dir)
    if not lks_files.is_there(folder):
        return []
    paths = {(slide.split, slide.name): slide.path for slide in lks_files.find_slides(folder)}
    wanted = [paths[source.splits[index], source.names[index]] for index in indices]
    return [functools.partial(open_slide, path, source.layout) for path in wanted]


def both_networks(method: TrainedMethod, source: LksSource, indices: Sequence[int]) -> Probabilities:
    """All networks that the method has on all slides, for whatever c may be asked for later."""
    classifier = method.classifier("high" if method.networks.hrn else "low")
    results = list(classifier(source.slide(index) for index in indices))
    return Probabilities(
        label=np.array([source.labels[index] for index in indices]),
        low=_stacked([result.low_probability for result in results]),
        high=_stacked([result.high_probability for result in results]),
    )


def _stacked(rows):
    return None if not rows or rows[0] is None else np.stack(rows)


def _sent(results):
    return np.array([result.route == "high" for result in results])


def _seconds(results) -> MeanSeconds:
    def of_stages(stages):
        return np.array([sum(result.seconds.get(stage, 0.0) for stage in stages) for result in results])

    return mean_seconds(of_stages(LOW_STAGES), of_stages(HIGH_STAGES), _sent(results))
