"""Methods on the same slides: the classes of each, the probabilities of both its networks, its time.

Times are taken in turn: a few slides by every method, then the next few, so that a machine that slows down slows all of
them alike. Hosts share the slides, each looked at by all methods on one of them, and all come back with all answers.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from data_builders.lks import lks_files
from data_builders.slide_source import LksSource
from experiments.runs.sos.sos_config import SosConfig
from experiments.runs.sos.sos_slides import SlideSplit
from experiments.runs.sos.timed_files import FILE_KINDS, written_as
from medssl_jax.core.progress import Progress, silent
from medssl_jax.imaging.slides import open_slide
from medssl_jax.inference.selective import (
    HIGH_STAGES,
    LOW_STAGES,
    WAITING_STAGES,
    OpenSlide,
    SelectiveClassifier,
    SlideResult,
)
from medssl_jax.inference.trained_classifier import TrainedClassifier
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod, Probabilities
from medssl_jax.metrics.slides.switching import MeanSeconds, mean_seconds
from medssl_jax.parallel import hosts
from medssl_jax.report.slides.sos_tables import TIMED_ON

TIMED_BY_TOP_K = 16  # slides
MadeSlides = Callable[[Sequence[OpenSlide]], contextlib.AbstractContextManager[Sequence[OpenSlide]]]


class Answer(NamedTuple):
    """What is kept of a slide's passage, as JSON holds it, so that hosts can tell each other."""

    name: str
    label: int
    sent: bool
    low_probability: list[float] | None
    high_probability: list[float] | None
    asking: float | None
    low_seconds: float
    high_seconds: float
    waiting_seconds: float


class Timed(NamedTuple):
    """The mean seconds of a method, and the share of them in which its networks wait for pixels."""

    seconds: MeanSeconds
    waiting: float


def evaluate(
    methods: Mapping[str, TrainedClassifier[SosConfig]],
    source: LksSource,
    split: SlideSplit,
    progress: Progress = silent,
) -> dict[str, EvaluatedMethod]:
    """Every method on the test slides of `source`; `progress` wraps each of the passes over slides.

    Raises `InputError`, which names the file, at the first slide that cannot be read: every method is asked for all.
    """
    classifiers, by_name, raw_by_name = _timed(methods, source, split.test, progress)
    test = both_networks(methods, source, split.test, progress)
    validation = both_networks(methods, source, split.validation, progress)
    return {
        name: EvaluatedMethod(
            name=name,
            seed=method.settings.seed,
            rule=method.settings.inference.rule,
            c=method.settings.inference.c,
            names=tuple(answer.name for answer in by_name[name]),
            predicted=np.array([answer.label for answer in by_name[name]]),
            sent=_sent(by_name[name]),
            test=test[name],
            validation=validation[name],
            prepared_seconds=_seconds(by_name[name]),
            raw_seconds=_seconds(raw_by_name[name]) if raw_by_name else None,
            parameters=sum(leaf.size for leaf in jax.tree.leaves(method.params)),
            peak_memory_bytes=classifiers[name].peak_memory_bytes,
            slide_batch=method.settings.inference.slide_batch,
            patch_batch=method.settings.inference.patch_batch,
            high_by_top_k=high_by_top_k(method, source, split.test, progress),
            asking=_asking(by_name[name]),
            validation_high_by_top_k=high_by_top_k(method, source, split.validation, progress),
            high_seconds_by_top_k=high_seconds_by_top_k(method, source, split.validation),
        )
        for name, method in methods.items()
    }


def seconds_of_methods(
    methods: Mapping[str, TrainedClassifier[SosConfig]],
    source: LksSource,
    indices: Sequence[int],
    progress: Progress = silent,
) -> dict[str, dict[str, Timed]]:
    """Seconds of each method on slides in turn, by how these lie in files.

    That is as downloaded, where they are there, as prepared, and as each of `FILE_KINDS`.
    """
    classifiers, prepared, raw = _timed(methods, source, indices, progress)
    answers = {TIMED_ON[True]: raw} if raw else {}
    answers[TIMED_ON[False]] = prepared
    slides = [functools.partial(source.slide, index) for index in indices]
    for kind, written in FILE_KINDS.items():
        made = functools.partial(written_as, written, source.layout)
        answers[kind] = _answers(classifiers, slides, progress, made=made)
    return {name: {kind: _timed_answers(of_kind[name]) for kind, of_kind in answers.items()} for name in methods}


def classify_in_turn(
    classifiers: Mapping[str, SelectiveClassifier],
    slides: Sequence[OpenSlide],
    progress: Progress = silent,
    *,
    made: MadeSlides = contextlib.nullcontext,
) -> dict[str, list[SlideResult]]:
    """The results of each classifier, in the order of `slides`; every classifier opens and reads each for itself.

    Which one goes first changes from batch to batch: it is the one that finds the files unread. `made` may put others
    in the place of a batch of slides while it is looked at; that is not timed.
    """
    results: dict[str, list[SlideResult]] = {name: [] for name in classifiers}
    names = list(classifiers)
    size = max(classifier.slide_batch for classifier in classifiers.values())
    batches = [slides[start : start + size] for start in range(0, len(slides), size)]
    for turn, batch in enumerate(progress(batches)):
        first = turn % len(names)
        with made(batch) as there:
            for name in names[first:] + names[:first]:
                results[name] += classifiers[name](there)
    return results


def raw_slides(method: TrainedClassifier[SosConfig], source: LksSource, indices: Sequence[int]) -> list[OpenSlide]:
    """The slides as they were downloaded; none where `data.manual_dir` of some host does not hold them any more."""
    folder = Path(method.settings.data.manual_dir)
    if not all(hosts.gather(lks_files.is_there(folder))):
        return []
    paths = {(slide.split, slide.name): slide.path for slide in lks_files.find_slides(folder)}
    wanted = [paths[source.splits[index], source.names[index]] for index in indices]
    return [functools.partial(open_slide, path, source.layout) for path in wanted]


def both_networks(
    methods: Mapping[str, TrainedClassifier[SosConfig]],
    source: LksSource,
    indices: Sequence[int],
    progress: Progress = silent,
) -> dict[str, Probabilities]:
    """All networks that each method has on all slides, for whatever c may be asked for later.

    Methods that differ only in what is done after training hold the same parameters, and are asked once.
    """
    first_with: dict[int, str] = {}
    for name, method in methods.items():
        first_with.setdefault(id(method.params), name)
    classifiers = {
        name: methods[name].classifier(rule="high" if methods[name].networks.hrn else "low")
        for name in first_with.values()
    }
    slides = hosts.own_share([functools.partial(source.slide, index) for index in indices])
    by_name = _of_all_hosts({name: list(each(slides, progress=progress)) for name, each in classifiers.items()})
    label = np.array([source.labels[index] for index in indices], np.int64)
    said = {
        name: Probabilities(
            label,
            low=_stacked([answer.low_probability for answer in answers]),
            high=_stacked([answer.high_probability for answer in answers]),
        )
        for name, answers in by_name.items()
    }
    return {name: said[first_with[id(method.params)]] for name, method in methods.items()}


def high_by_top_k(
    method: TrainedClassifier[SosConfig], source: LksSource, indices: Sequence[int], progress: Progress = silent
) -> dict[int, Float[np.ndarray, "slides classes"]]:
    """The HRN's probabilities with each of `inference.top_k_tried` patches, from one look at the slides."""
    counts = method.settings.inference.top_k_tried
    if not counts or not indices:
        return {}
    slides = [functools.partial(source.slide, index) for index in hosts.own_share(indices)]
    classifier = method.classifier(rule="high", top_k=1)
    own = [said.tolist() for said in classifier.high_by_top_k(slides, counts, progress=progress)]
    of_slides = np.array(hosts.joined_shares(hosts.gather(own)), np.float32)
    return {count: of_slides[:, place] for place, count in enumerate(counts)}


def _timed(
    methods: Mapping[str, TrainedClassifier[SosConfig]], source: LksSource, indices: Sequence[int], progress: Progress
) -> tuple[dict[str, SelectiveClassifier], dict[str, list[Answer]], dict[str, list[Answer]] | None]:
    """The classifiers, and what each says in turn of slides as prepared and, where they are there, as downloaded."""
    classifiers = {name: method.classifier() for name, method in methods.items()}
    prepared = _answers(classifiers, [functools.partial(source.slide, index) for index in indices], progress)
    raw = raw_slides(next(iter(methods.values())), source, indices)
    return classifiers, prepared, _answers(classifiers, raw, progress) if raw else None


def _answers(
    classifiers: Mapping[str, SelectiveClassifier],
    slides: Sequence[OpenSlide],
    progress: Progress,
    *,
    made: MadeSlides = contextlib.nullcontext,
) -> dict[str, list[Answer]]:
    return _of_all_hosts(classify_in_turn(classifiers, hosts.own_share(slides), progress, made=made))


def _of_all_hosts(own: Mapping[str, Sequence[SlideResult]]) -> dict[str, list[Answer]]:
    """What every host says of its share, in the order of all slides."""
    of_hosts = hosts.gather({name: list(map(_answer, results)) for name, results in own.items()})
    return {
        name: [Answer(*values) for values in hosts.joined_shares([of_host[name] for of_host in of_hosts])]
        for name in own
    }


def _answer(result: SlideResult) -> Answer:
    def listed(probability: Float[np.ndarray, " classes"] | None) -> list[float] | None:
        return None if probability is None else probability.tolist()

    def seconds(stages: Sequence[str]) -> float:
        return sum(result.seconds.get(stage, 0.0) for stage in stages)

    return Answer(
        name=result.name,
        label=result.label,
        sent=result.route == "high",
        low_probability=listed(result.low_probability),
        high_probability=listed(result.high_probability),
        asking=result.asking,
        low_seconds=seconds(LOW_STAGES),
        high_seconds=seconds(HIGH_STAGES),
        waiting_seconds=seconds(WAITING_STAGES),
    )


def _stacked(rows: Sequence[list[float] | None]) -> Float[np.ndarray, "slides classes"] | None:
    given = [row for row in rows if row is not None]
    return np.array(given, np.float32) if given else None


def high_seconds_by_top_k(
    method: TrainedClassifier[SosConfig], source: LksSource, indices: Sequence[int]
) -> dict[int, float]:
    """Mean seconds of the HRN's part with each of `inference.top_k_tried` patches, on the first few slides.

    As downloaded, where they are there.
    """
    counts, few = method.settings.inference.top_k_tried, list(indices)[:TIMED_BY_TOP_K]
    if not counts or not few:
        return {}
    slides = raw_slides(method, source, few) or [functools.partial(source.slide, index) for index in few]
    classifiers = {str(count): method.classifier(rule="high", top_k=count) for count in counts}
    by_count = _answers(classifiers, slides, silent)
    return {count: _seconds(by_count[str(count)]).high for count in counts}


def _asking(answers: Sequence[Answer]) -> Float[np.ndarray, " slides"] | None:
    given = [answer.asking for answer in answers if answer.asking is not None]
    return np.array(given) if given else None


def _sent(answers: Sequence[Answer]) -> Bool[np.ndarray, " slides"]:
    return np.array([answer.sent for answer in answers])


def _timed_answers(answers: Sequence[Answer]) -> Timed:
    waiting = sum(answer.waiting_seconds for answer in answers)
    return Timed(_seconds(answers), waiting / sum(answer.low_seconds + answer.high_seconds for answer in answers))


def _seconds(answers: Sequence[Answer]) -> MeanSeconds:
    low, high = ([getattr(answer, name) for answer in answers] for name in ("low_seconds", "high_seconds"))
    return mean_seconds(np.array(low), np.array(high), _sent(answers))
