"""Slides of any origin: from their files to classes, the way the test slides of a run go."""

import os
from collections.abc import Iterator
from pathlib import Path

from data_builders.lks.files import CLASSES, TIFF_SUFFIXES
from medssl_jax.errors import InputError
from medssl_jax.phantoms.folder import TRUTH_FOLDER
from medssl_jax.progress import Progress, silent
from medssl_jax.report.slides.slide_page import thumbnail
from medssl_jax.report.slides.slide_report import ClassifierCard, SlideReport
from medssl_jax.slides import Slide, open_slide
from medssl_jax.sos_run import load_method

PREPARED_IMAGE = "lowres.jpg"


def find_slide_files(place: str | os.PathLike) -> tuple[Path, ...]:
    """A slide itself, or all slides in a folder, by name: TIFF files, and folders that the authors' script prepared.

    Raises `InputError` where there is none.
    """
    place = Path(place)
    if place.is_file() or (place / PREPARED_IMAGE).is_file():
        return (place,)
    if not place.is_dir():
        raise InputError(f"{place}: no such file or folder, expected a slide or a folder of slides")
    found = sorted(path for path in place.iterdir() if not path.name.startswith(".") and _is_slide(path))
    if not found:
        raise InputError(f"{place}: no slide in this folder, expected files ending in {' or '.join(TIFF_SUFFIXES)}")
    return tuple(found)


def classify_files(
    checkpoint: str | os.PathLike, place: str | os.PathLike, *, c: float | None = None, progress: Progress = silent
) -> tuple[SlideReport, dict[str, str]]:
    """Classifies the slide or slides at `place`; also returns their thumbnails, by name, for a page.

    A slide that cannot be read is listed in the report, with the reason, and stops no other. `c` is that of the switch,
    the config's if None.

    Raises:
      InputError: see `find_slide_files` and `load_method`; two slides of one name.
    """
    paths = find_slide_files(place)
    file_of = {path.stem if path.is_file() else path.name: path for path in paths}
    if len(file_of) < len(paths):
        twice = next(path for path in paths if path not in file_of.values())
        raise InputError(f"{twice}: another slide here has the same name: rename or move one")
    method = load_method(Path(checkpoint))
    if c is not None:
        method.config.inference.c = c
    refused: dict[str, str] = {}
    at_hand: dict[str, Slide] = {}

    def refuse(slide: Slide, error: InputError) -> None:
        refused[file_of[slide.name].name] = str(error)

    def open_all() -> Iterator[Slide]:
        for path in progress(paths):
            try:
                slide = open_slide(path, method.layout)
            except InputError as error:
                refused[path.name] = str(error)
            else:
                at_hand[slide.name] = slide
                yield slide

    results, thumbnails = [], {}
    for result in method.classifier()(open_all(), refuse):
        results.append(result)
        thumbnails[result.name] = thumbnail(at_hand.pop(result.name).low_resolution())
    report = SlideReport(
        classifier=ClassifierCard(_run_name(Path(checkpoint)), method.step, method.config.to_dict()),
        classes=CLASSES,
        rule=method.config.inference.rule,
        c=method.config.inference.c,
        are_phantom_slides=all(is_phantom_slide(path) for path in paths),
        results=tuple(results),
        refused=refused,
    )
    return report, thumbnails


def is_phantom_slide(path: Path) -> bool:
    """Whether the file lies in a phantom, which keeps the truth about each of its slides beside them."""
    return (path.absolute().parent.parent / TRUTH_FOLDER / f"{path.stem}.json").is_file()


def _is_slide(path):
    return path.suffix.lower() in TIFF_SUFFIXES if path.is_file() else (path / PREPARED_IMAGE).is_file()


def _run_name(checkpoint: Path) -> str:
    folder = checkpoint.absolute()
    return folder.parent.name if folder.name == "checkpoints" else folder.name
