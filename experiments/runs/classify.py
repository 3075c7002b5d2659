"""Slides of any origin: from their files to classes, the way the test slides of a run go."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from data_builders.lks.lks_files import TIFF_SUFFIXES
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.slides.slide_appearance import appearance_of
from medssl_jax.imaging.slides import (
    PREPARED_IMAGE,
    PREPARED_PATCHES,
    FolderSlide,
    Slide,
    TiffSlide,
    open_slide,
    slide_name,
)
from medssl_jax.inference.trained_classifier import ClassifierRunSettings, TrainedClassifier, load_slide_classifier
from medssl_jax.metrics.slides.switch_budget import SwitchChoice, choice_within
from medssl_jax.phantoms.folder import lies_in_phantom
from medssl_jax.report.slides.slide_notices import SlideReading
from medssl_jax.report.slides.slide_page import thumbnail
from medssl_jax.report.slides.slide_report import ClassifierCard, SlideReport
from medssl_jax.report.slides.sos_figures import read_validation_curves
from medssl_jax.run_folder.weights_place import run_name

# What lies beside slides and is none; a file of any other kind might be one, and is not passed over in silence.
OTHER_SUFFIXES = (
    *(".csv", ".json", ".tsv", ".xlsx", ".xml", ".yaml", ".yml"),
    *(".db", ".html", ".ini", ".log", ".md", ".pdf", ".txt"),
)


class FoundFiles(NamedTuple):
    """Files that may be slides, by name; and, by name without folder, why other files are not taken for any."""

    slides: tuple[Path, ...]
    refused: dict[str, str]


def find_slide_files(place: str | os.PathLike[str]) -> FoundFiles:
    """A slide itself, whatever its ending, or all slides in a folder: TIFF files, and those of the authors' script.

    In a folder nothing is taken for a slide unless it ends in `TIFF_SUFFIXES` or was prepared by that script; hidden
    files, `OTHER_SUFFIXES` and other folders are passed over, the rest is refused. Raises `InputError` for an empty
    folder, or none.
    """
    place = Path(place)
    if place.is_file() or _is_prepared(place):
        return FoundFiles((place,), {})
    if not place.is_dir():
        raise InputError(f"{place}: no such file or folder, expected a slide or a folder of slides")
    endings = " or ".join(TIFF_SUFFIXES)
    slides, refused = [], {}
    for path in sorted(path for path in place.iterdir() if not path.name.startswith(".")):
        suffix = path.suffix.lower()
        if _is_prepared(path) or (suffix in TIFF_SUFFIXES and not path.is_dir()):
            slides.append(path)
        elif suffix not in OTHER_SUFFIXES and not path.is_dir():
            refused[printable(path.name)] = printable(
                f"{path}: the name ends in {suffix or 'nothing'}, expected {endings} in a folder: give the file alone, "
                "or rename it if it is a TIFF"
            )
    if not slides and not refused:
        raise InputError(f"{place}: no slide in this folder, expected files ending in {endings}")
    return FoundFiles(tuple(slides), refused)


def classify_files(
    checkpoint: str | os.PathLike[str],
    place: str | os.PathLike[str],
    *,
    c: float | None = None,
    budget: float | None = None,
    low_rows: int | None = None,
    progress: Progress = silent,
) -> tuple[SlideReport, dict[str, str]]:
    """Classifies the slide or slides at `place`; also returns their thumbnails, by name, for a page.

    A slide that cannot be read is listed in the report, with the reason, and stops no other. `c` is that of the switch,
    the config's if None; a `budget` of seconds a slide chooses it and `inference.top_k` instead. Of `low_rows` see
    `TiffSlide`.

    Raises:
      InputError: see `find_slide_files`, `load_slide_classifier` and `choice_of_budget`; two slides of one name; a `c`
        for a method without one, or beside a budget; `low_rows` out of range.
    """
    paths, refused = find_slide_files(place)
    file_of = {slide_name(path): path for path in paths}
    if len(file_of) < len(paths):
        twice = next(path for path in paths if path not in file_of.values())
        raise InputError(f"{twice}: another slide here has the same name: rename or move one")
    method = load_slide_classifier(checkpoint)
    if c is not None and budget is not None:
        raise InputError(f"c is {c:g} and budget is {budget:g}, expected one of them: a budget chooses c")
    method.layout.expect_low_rows(low_rows)  # once, rather than of every slide
    used = method if c is None else _with(method, c=c)
    chosen = None if budget is None else choice_of_budget(checkpoint, method, budget)
    if chosen:
        used = _with(method, c=chosen.c, top_k=chosen.top_k)
    thumbnails, readings = {}, {}

    def refuse(place: int, error: InputError) -> None:
        refused[printable(paths[place].name)] = str(error)

    def note(place: int, slide: Slide, foreground: Bool[np.ndarray, " patches"]) -> None:
        assert isinstance(slide, TiffSlide | FolderSlide), paths[place]
        low_resolution = slide.low_resolution()
        thumbnails[slide.name] = thumbnail(low_resolution)
        appearance = appearance_of(low_resolution, foreground)
        of_rows = slide.of_low_rows if isinstance(slide, TiffSlide) else None
        readings[slide.name] = SlideReading(slide.share_read, slide.channels, appearance, of_rows)

    slides = [functools.partial(open_slide, path, method.layout, low_rows=low_rows) for path in paths]
    results = tuple(used.classifier()(slides, on_error=refuse, on_read=note, progress=progress))
    report = SlideReport(
        classifier=ClassifierCard(run_name(checkpoint), method.step, method.config, method.about),
        classes=method.training_slides.classes,
        rule=used.settings.inference.rule,
        c=used.settings.inference.c,
        are_phantom_slides=all(lies_in_phantom(path, path.stem) for path in paths),
        results=results,
        refused=refused,
        readings={result.name: readings[result.name] for result in results},
        training=method.training_slides.appearance,
        chosen=chosen,
    )
    return report, {result.name: thumbnails[result.name] for result in results}


def choice_of_budget(
    checkpoint: str | os.PathLike[str], method: TrainedClassifier[ClassifierRunSettings], budget: float
) -> SwitchChoice:
    """The c and the number of patches of the best accuracy within `budget` seconds a slide, as the run found them.

    On its validation slides and its machine. Raises `InputError` where the run has no such curves, or none so fast.
    """
    return choice_within(read_validation_curves(Path(checkpoint) / "switch.json", method.settings.method.name), budget)


def _with(
    method: TrainedClassifier[ClassifierRunSettings], *, c: float, top_k: int | None = None
) -> TrainedClassifier[ClassifierRunSettings]:
    settings = method.settings
    rule = settings.inference.rule
    if rule != "confidence":
        raise InputError(f"c is {c:g}, but this run decides by inference.rule = {rule}, which has no c: leave c out")
    inference = dataclasses.replace(settings.inference, c=c)
    if top_k is not None:
        inference = dataclasses.replace(inference, top_k=top_k)
    return method.used_as(dataclasses.replace(settings, inference=inference))


def _is_prepared(path: Path) -> bool:
    return (path / PREPARED_IMAGE).is_file() or (path / PREPARED_PATCHES).is_dir()
