"""A prepared data set of slides: made once from the downloaded files, then read slide by slide."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etils import epy

from data_builders import lks
from data_builders.lks import lks_files
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import exclusive
from medssl_jax.core.names import some
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.slides.foreground import BACKGROUND_GREY_LEVELS
from medssl_jax.data.slides.patch_store import PreparedSlide
from medssl_jax.data.slides.slide_stores import describe_source, store_path
from medssl_jax.data.tfds_store import check_is_made, is_made, make, read_metadata
from medssl_jax.imaging.slides import SlideLayout

with epy.lazy_imports():
    from data_builders.lks import lks_dataset_builder


class LksSource:
    """The slides of a prepared LKS, training before test, then by name; images are read through `slide`.

    `names` (unique within a split), `splits`, `labels`, `foreground_counts` (patches that are not background),
    `layout`, `background_threshold` and `fingerprint`, a short name of exactly this data, decode no image.
    """

    def __init__(self, directory: Path):
        index = read_metadata(directory)
        self.names: tuple[str, ...] = tuple(index["names"])
        self.splits: tuple[str, ...] = tuple(index["splits"])
        self.labels: tuple[int, ...] = tuple(index["labels"])
        self.foreground_counts: tuple[int, ...] = tuple(index["foreground_counts"])
        self.layout = SlideLayout(**index["layout"])
        self.background_threshold: float = index["background_threshold"]
        self.fingerprint: str = index["fingerprint"]
        self._description: dict[str, Any] = index["description"]
        self._stores = directory.parent

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        counts = ", ".join(f"{split}={self.splits.count(split)}" for split in lks_files.SPLITS)
        return f"LksSource(fingerprint={self.fingerprint!r}, {counts})"

    def slide(self, index: int) -> PreparedSlide:
        """Opens a slide; `InputError` where its store is not there, or is that of another slide."""
        split, name = self.splits[index], self.names[index]
        slide = PreparedSlide(store_path(self._stores, split, name))
        source = self._description[f"{split}/{name}"].rpartition(" ")[2]
        if (slide.name, slide.source) != (name, source):
            slide.close()
            raise InputError(
                f"{slide.path}: holds the slide {slide.name} of other files than those that were prepared, expected "
                f"{name}: remove the file and run `python -m experiments.prepare --dataset=lks` again"
            )
        return slide


def open_lks(data_dir: str | os.PathLike[str]) -> LksSource:
    """Opens what `prepare_lks` made; `InputError` if there is nothing."""
    directory = _lks_directory(data_dir)
    check_is_made(directory, "LKS")
    return LksSource(directory)


def prepare_lks(
    manual_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    layout: SlideLayout | None = None,
    *,
    background_threshold: float = BACKGROUND_GREY_LEVELS,
    workers: int = 1,
    progress: Progress = silent,
) -> None:
    """Makes the stores of all slides in `manual_dir`, then the TFDS data set of them; what `data_dir` has is kept.

    An interrupted or failed call is simply made again; while another process prepares them, this one waits. Where
    `manual_dir` holds no slides any more, `data_dir` is taken as it is. No `layout` is LKS's own.

    Raises:
      InputError: LKS is incomplete or wrong (see `lks_files.find_slides`); slides cannot be read (all of
        them in one line, when the others are finished); `data_dir` was made from other files or by other settings, or
        cannot be written.
    """
    manual_dir, directory = Path(manual_dir).absolute(), _lks_directory(data_dir)
    if is_made(directory) and not lks_files.is_there(manual_dir):
        return
    slides = lks_files.find_slides(manual_dir)
    builder = lks_dataset_builder.Lks(
        data_dir=writable_directory(data_dir),
        file_format="array_record",
        layout=layout or SlideLayout(),
        background_threshold=background_threshold,
        workers=workers,
        progress=progress,
    )
    with exclusive(writable_directory(directory.parent), "preparing"):
        if not is_made(directory):
            make(builder, manual_dir)
            return
        wanted = builder.describe(slides, [describe_source(slide.path) for slide in slides])
        _check_unchanged(directory, manual_dir, wanted)
        builder.write_stores(slides)


def _check_unchanged(directory: Path, manual_dir: Path, wanted: Mapping[str, Any]) -> None:
    found = read_metadata(directory)["description"]
    differing = [
        f"{part}: {found.get(part)}, now {wanted.get(part)}"
        for part in sorted(found.keys() | wanted.keys())
        if found.get(part) != wanted.get(part)
    ]
    if differing:
        raise InputError(
            f"{directory}: was prepared from other files than {manual_dir} holds now, or by other settings "
            f"({some(differing, '; ')}): remove that folder and start again: only slides that changed are read anew; "
            "or give another data_dir"
        )


def _lks_directory(data_dir: str | os.PathLike[str]) -> Path:
    return Path(data_dir) / "lks" / lks.VERSION
