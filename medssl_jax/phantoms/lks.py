"""A synthetic LKS on disk, in the real one's layout.

spec.json                            what it was made from
Train/<name>.tif  Test/<name>.tif    8-bit grey, one slide each
Train_Labels.csv  Test_Labels.csv    a header row; then file name, class
phantom/<name>.json                  the truth about one slide; written last, so it also says: this slide is finished
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.progress import Progress, silent
from medssl_jax.phantoms import folder
from medssl_jax.phantoms.slides.conditions import Conditions
from medssl_jax.phantoms.slides.render import draw_slide, render_bands
from medssl_jax.phantoms.slides.roster import PlannedSlide, plan_slides
from medssl_jax.phantoms.slides.spec import LksPhantom
from medssl_jax.phantoms.slides.tiff import write_tiff

FOLDERS = {"train": "Train", "test": "Test"}
LABEL_FILES = {"train": "Train_Labels.csv", "test": "Test_Labels.csv"}
HEADER = ("Image", "Label")
KIND = folder.Kind("lks", 1, (*LABEL_FILES.values(), *FOLDERS.values()), subfolders=tuple(FOLDERS.values()))


@dataclasses.dataclass(frozen=True)
class SlideTruth:
    """The truth about a written slide. Places are pixels y, x of the centre crop."""

    name: str
    split: str
    label: str
    fine_only: bool  # the class shows at full resolution alone
    hazy: bool
    strength: float  # of the serum, about 1; means nothing for a negative one or where there are conditions
    layout: str  # of the file
    size_yx: tuple[int, int]  # of the file
    crop_yx: tuple[int, int]  # where in the file the centre crop begins
    edge_yx: tuple[float, float]  # where kidney, stomach muscle and mucosa meet: all tissues but the liver in one view


@dataclasses.dataclass(frozen=True)
class TellingTruth(SlideTruth):
    """The truth about a slide of a telling phantom; `label` is its class, `rated` what the data set says it is."""

    rated: str
    conditions: Conditions


def write_lks_phantom(
    spec: LksPhantom, directory: str | os.PathLike[str], *, workers: int = 1, progress: Progress = silent
) -> None:
    """Makes the data set; slides that are there already are kept, so an interrupted call is simply made again.

    Raises `InputError` as `folder.write_items`.
    """
    slides = plan_slides(spec)
    directory = folder.write_items(
        KIND, spec, directory, slides, write_slide, _is_finished, workers=workers, progress=progress
    )
    for split, file in LABEL_FILES.items():
        rows = [(f"{slide.name}.tif", slide.rated) for slide in slides if slide.split == split]
        folder.write_csv(directory / file, [HEADER, *rows])


def slide_path(directory: str | os.PathLike[str], slide: PlannedSlide | SlideTruth) -> Path:
    """Where a slide lies."""
    return Path(directory) / FOLDERS[slide.split] / f"{slide.name}.tif"


def read_truth(directory: str | os.PathLike[str], name: str) -> SlideTruth:
    """The truth about slide `name` of a written phantom. Raises `InputError` where there is no such slide."""
    return folder.read_truth(directory, name, SlideTruth)


def write_slide(spec: LksPhantom, directory: Path, planned: PlannedSlide) -> None:
    """Makes and writes one slide, a band at a time."""
    layout = spec.layouts[planned.number % len(spec.layouts)]
    slide = draw_slide(spec, planned)
    with atomic_path(slide_path(directory, planned)) as temporary:
        write_tiff(temporary, render_bands(spec, planned, slide), slide.shape_yx, layout)
    edge_y, edge_x = slide.section.edge_yx
    known: dict[str, Any] = dict(
        name=planned.name,
        split=planned.split,
        label=planned.label,
        fine_only=planned.fine_only,
        hazy=planned.hazy,
        strength=round(planned.strength, 4),
        layout=layout,
        size_yx=slide.shape_yx,
        crop_yx=slide.grid.before_yx,
        edge_yx=(round(edge_y, 1), round(edge_x, 1)),
    )
    if planned.conditions is None:
        folder.write_truth(directory, planned.name, SlideTruth(**known))
    else:
        telling = TellingTruth(**known, rated=planned.rated, conditions=planned.conditions)
        folder.write_truth(directory, planned.name, telling)


def _is_finished(_: LksPhantom, directory: Path, slide: PlannedSlide) -> bool:
    return slide_path(directory, slide).is_file() and folder.truth_path(directory, slide.name).is_file()
