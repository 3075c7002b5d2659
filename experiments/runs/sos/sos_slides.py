"""The slides of an SOS run from its config: phantom, prepared data set, split; and what tables call them."""

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool
from ml_collections import ConfigDict

from data_builders.lks.lks_files import SLIDES_OF_LKS
from data_builders.slide_source import LksSource, open_lks, prepare_lks
from experiments.runs.phantoms import phantom_from
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.core.settings import FOLDER, SEED, Settings, number, within
from medssl_jax.data.slides.slide_cut import SlideCutSettings
from medssl_jax.data.splits import draw_stratified

PURPOSES = {"train": "train on", "validation": "validate on", "test": "test on", "held_out": "hold out"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlideDataSettings(SlideCutSettings):
    """The slides of a run or a phantom in their place, and where they are prepared."""

    section: ClassVar[str] = "data"
    manual_dir: str = within(FOLDER)
    data_dir: str = within(FOLDER)
    phantom: Any = None  # fields of the phantom, which checks them itself

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phantom is not None:
            phantom_of(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlideSplitSettings(Settings):
    """How many of the training slides are validated on."""

    section: ClassVar[str] = "split"
    seed: int = within(SEED)
    validation_share: float = within(number(0, 1, above=True, below=True))


@dataclasses.dataclass(frozen=True)
class SlideSplit:
    """Positions of slides in a source; no slide is in two parts. `held_out` are for L_3 and policies alone."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    held_out: tuple[int, ...] = ()


def open_slides(data: SlideDataSettings) -> LksSource:
    """The slides of a run: makes the phantom if there is to be one, and the prepared data set."""
    workers = os.cpu_count() or 1
    if data.phantom is not None:
        from medssl_jax.phantoms.lks import write_lks_phantom

        write_lks_phantom(
            phantom_of(data), data.manual_dir, workers=workers, progress=progress_bar("phantom", "slides")
        )
    prepare_lks(
        data.manual_dir,
        data.data_dir,
        data.layout,
        background_threshold=data.background_threshold,
        workers=workers,
        progress=progress_bar("preparing", "slides"),
    )
    source = open_lks(data.data_dir)
    # Where the slides as downloaded are gone, nothing before compares the prepared ones with the config.
    for field, found, wanted in (
        *((name, getattr(source.layout, name), getattr(data, name)) for name in ("grid", "patch_side", "shrink")),
        ("background_threshold", source.background_threshold, data.background_threshold),
    ):
        if found != wanted:
            raise InputError(
                f"{data.data_dir}: LKS was prepared with {field} = {found}, config field data.{field} is {wanted}: "
                "give the data_dir of slides prepared so, or prepare them anew"
            )
    return source


def phantom_of(data: SlideDataSettings) -> Any:
    """The phantom in place of slides, cut as these are; `variant` among its fields is one of `VARIANTS`, or plain.

    Raises `InputError` for a field out of range.
    """
    from medssl_jax.phantoms.slides.spec import VARIANTS

    assert data.phantom is not None
    field, given = data.path_of("phantom"), data.phantom
    variant = "plain"
    if isinstance(given, Mapping | ConfigDict) and "variant" in given:
        given = dict(given)
        variant = given.pop("variant")
        if variant not in VARIANTS:
            raise InputError(f"config field {field}.variant is {variant}, expected {' or '.join(VARIANTS)}")
    cut = {"grid": data.grid, "patch_side": data.patch_side, "shrink": data.shrink}
    return phantom_from(VARIANTS[variant], given, field=field, **cut)


def needs_high_resolution(data: SlideDataSettings, names: Sequence[str]) -> Bool[np.ndarray, " slides"] | None:
    """True for slides that show their class at full resolution only: the truth of a phantom, None for real slides."""
    if data.phantom is None:
        return None
    from medssl_jax.phantoms.lks import read_truth

    return np.array([read_truth(data.manual_dir, name).fine_only for name in names])


def is_lks(data: SlideDataSettings, source: LksSource) -> bool:
    """True where each class has as many slides as in LKS, so that the paper's rows may stand beside ours."""
    found = collections.Counter(zip(source.splits, source.labels, strict=True))
    expected = {(split, label): count for split, counts in SLIDES_OF_LKS.items() for label, count in enumerate(counts)}
    return data.phantom is None and found == expected


def data_name(data: SlideDataSettings, source: LksSource) -> str:
    """The heading of a table, so that no result on other slides is taken for one on LKS."""
    if data.phantom is not None:
        return "phantom (synthetic slides, not LKS)"
    if is_lks(data, source):
        return "LKS"
    expected = " and ".join(f"{sum(counts)} {split} slides" for split, counts in SLIDES_OF_LKS.items())
    return f"slides in LKS's layout, not LKS, which has {expected} in classes of its own sizes"


def split_of(
    data: SlideDataSettings, settings: SlideSplitSettings, source: LksSource, *, hold_out: bool = False
) -> SlideSplit:
    """The data set's own test slides, and of its training slides a stratified share to validate on.

    With `hold_out` the same share of those left to train on is held out of all losses but L_3 and a policy's.

    Raises `InputError` where there are too few slides for the three parts.
    """
    of_training = [index for index, split in enumerate(source.splits) if split == "train"]
    train, validation = draw_stratified(
        [source.labels[index] for index in of_training], settings.validation_share, settings.seed
    )
    held_out: tuple[int, ...] = ()
    if hold_out:
        kept, apart = draw_stratified(
            [source.labels[of_training[position]] for position in train], settings.validation_share, settings.seed
        )
        train, held_out = (tuple(train[position] for position in part) for part in (kept, apart))
    split = SlideSplit(
        train=tuple(of_training[position] for position in train),
        validation=tuple(of_training[position] for position in validation),
        test=tuple(index for index, split in enumerate(source.splits) if split == "test"),
        held_out=tuple(of_training[position] for position in held_out),
    )
    for part, indices in dataclasses.asdict(split).items():
        if not indices and (part != "held_out" or hold_out):
            raise InputError(
                f"{data.data_dir}: no slide to {PURPOSES[part]}, expected two or more training slides of a "
                "class and one or more test slides: prepare more slides"
            )
    return split
