"""Prepared data sets: made once from the downloaded files, then read scan by scan or slide by slide."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_builders import lks, luna16
from data_builders.lks import files as lks_files
from data_builders.luna16 import files as luna16_files
from medssl_jax.atomic import writable_directory
from medssl_jax.data.foreground import BACKGROUND_GREY_LEVELS
from medssl_jax.data.patch_store import PreparedSlide
from medssl_jax.data.preparation import PreparedScan
from medssl_jax.data.slide_stores import describe_source, store_path
from medssl_jax.data.tfds_store import Records, make
from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid
from medssl_jax.progress import Progress, silent
from medssl_jax.slides import SlideLayout

LUNA16_SPLIT = "scans"
GRID_FIELDS = ("spacing_zyx_mm", "origin_xyz_mm", "direction")
NAMED_DIFFERENCES = 5


class Luna16Source(Sequence):
    """The scans of a prepared LUNA16, by subset, then by series UID; a random-access source for grain.

    `series_uids`, `subsets` and `fingerprint`, a short name of exactly this data, are there without decoding a volume.
    """

    def __init__(self, directory: Path):
        index = json.loads((directory / "metadata.json").read_text())
        self.series_uids: tuple[str, ...] = tuple(index["series_uids"])
        self.subsets: tuple[int, ...] = tuple(index["subsets"])
        self.fingerprint: str = index["fingerprint"]
        self._records = Records(directory, LUNA16_SPLIT, len(self))

    def __len__(self) -> int:
        return len(self.series_uids)

    def __getitem__(self, index):
        record = self._records[index]
        return PreparedScan(
            series_uid=self.series_uids[index],
            subset=int(record["subset"]),
            hu=record["hu"],
            lungs=record["lungs"],
            boxes_zyxdhw_voxel=np.asarray(record["boxes_zyxdhw_voxel"], np.float32).reshape(-1, 6),
            grid=Grid(record["hu"].shape, *(tuple(record[name].tolist()) for name in GRID_FIELDS)),
            source_spacing_zyx_mm=tuple(record["source_spacing_zyx_mm"].tolist()),
        )

    def __repr__(self) -> str:
        return f"Luna16Source(fingerprint={self.fingerprint!r}, scans={len(self)})"


def open_luna16(data_dir: str | os.PathLike) -> Luna16Source:
    """Opens what `prepare_luna16` made; `InputError` if there is nothing."""
    directory = _luna16_directory(data_dir)
    if not (directory / "metadata.json").is_file():
        raise InputError(
            f"{data_dir}: no prepared LUNA16 ({luna16.VERSION}) here: run "
            f"`python -m experiments.prepare --dataset=luna16 --manual_dir=DIR --data_dir={data_dir}`"
        )
    return Luna16Source(directory)


def prepare_luna16(manual_dir: str | os.PathLike, data_dir: str | os.PathLike) -> None:
    """Makes the TFDS data set of the LUNA16 in `manual_dir`, unless `data_dir` has it; shows progress.

    Where `manual_dir` holds no scans any more, `data_dir` is taken as it is; the score still needs LUNA16's CSV files.

    Raises:
      InputError: LUNA16 is incomplete or wrong (see `data_builders.luna16.files.find_scans`); `data_dir` was made from
        other files or by other settings, or cannot be written.
    """
    manual_dir, prepared = Path(manual_dir).absolute(), (_luna16_directory(data_dir) / "metadata.json").is_file()
    if prepared and not luna16_files.is_there(manual_dir):
        return
    scans = luna16_files.find_scans(manual_dir)

    from data_builders.luna16.luna16_dataset_builder import Luna16, fingerprint

    if prepared:
        found, wanted = open_luna16(data_dir).fingerprint, fingerprint(scans)
        if found != wanted:
            raise InputError(
                f"{_luna16_directory(data_dir)}: was prepared from other files than {manual_dir} holds now, or by "
                f"other settings (fingerprint {found}, expected {wanted}): remove that folder, or give another data_dir"
            )
        return
    make(Luna16(data_dir=writable_directory(data_dir), file_format="array_record"), manual_dir)


def _luna16_directory(data_dir):
    return Path(data_dir) / "luna16" / luna16.VERSION


class LksSource:
    """The slides of a prepared LKS, training before test, then by name; images are read through `slide`.

    `names` (unique within a split), `splits`, `labels`, `foreground_counts` (patches that are not background),
    `layout`, `background_threshold` and `fingerprint`, a short name of exactly this data, decode no image.
    """

    def __init__(self, directory: Path):
        index = json.loads((directory / "metadata.json").read_text())
        self.names: tuple[str, ...] = tuple(index["names"])
        self.splits: tuple[str, ...] = tuple(index["splits"])
        self.labels: tuple[int, ...] = tuple(index["labels"])
        self.foreground_counts: tuple[int, ...] = tuple(index["foreground_counts"])
        self.layout = SlideLayout(**index["layout"])
        self.background_threshold: float = index["background_threshold"]
        self.fingerprint: str = index["fingerprint"]
        self._stores = directory.parent

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        counts = ", ".join(f"{split}={self.splits.count(split)}" for split in lks_files.SPLITS)
        return f"LksSource(fingerprint={self.fingerprint!r}, {counts})"

    def slide(self, index: int) -> PreparedSlide:
        """Opens a slide; `InputError` where its store is not there."""
        return PreparedSlide(store_path(self._stores, self.splits[index], self.names[index]))


def open_lks(data_dir: str | os.PathLike) -> LksSource:
    """Opens what `prepare_lks` made; `InputError` if there is nothing."""
    directory = _lks_directory(data_dir)
    if not (directory / "metadata.json").is_file():
        raise InputError(
            f"{data_dir}: no prepared LKS ({lks.VERSION}) here: run "
            f"`python -m experiments.prepare --dataset=lks --manual_dir=DIR --data_dir={data_dir}`"
        )
    return LksSource(directory)


def prepare_lks(
    manual_dir: str | os.PathLike,
    data_dir: str | os.PathLike,
    layout: SlideLayout | None = None,
    *,
    background_threshold: float = BACKGROUND_GREY_LEVELS,
    workers: int = 1,
    progress: Progress = silent,
) -> None:
    """Makes the stores of all slides in `manual_dir`, then the TFDS data set of them; what `data_dir` has is kept.

    An interrupted or failed call is simply made again. Where `manual_dir` holds no slides any more, `data_dir` is taken
    as it is. No `layout` is LKS's own.

    Raises:
      InputError: LKS is incomplete or wrong (see `data_builders.lks.files.find_slides`); slides cannot be read (all of
        them in one line, when the others are finished); `data_dir` was made from other files or by other settings, or
        cannot be written.
    """
    manual_dir, prepared = Path(manual_dir).absolute(), (_lks_directory(data_dir) / "metadata.json").is_file()
    if prepared and not lks_files.is_there(manual_dir):
        return
    slides = lks_files.find_slides(manual_dir)

    from data_builders.lks.lks_dataset_builder import Lks

    builder = Lks(
        data_dir=writable_directory(data_dir),
        file_format="array_record",
        layout=layout or SlideLayout(),
        background_threshold=background_threshold,
        workers=workers,
        progress=progress,
    )
    if prepared:
        wanted = builder.describe(slides, [describe_source(slide.path) for slide in slides])
        _check_unchanged(_lks_directory(data_dir), manual_dir, wanted)
        builder.write_stores(slides)
        return
    make(builder, manual_dir)


def _check_unchanged(directory, manual_dir, wanted):
    found = json.loads((directory / "metadata.json").read_text())["description"]
    wanted = json.loads(json.dumps(wanted))
    differing = [
        f"{part}: {found.get(part)}, now {wanted.get(part)}"
        for part in sorted(found.keys() | wanted.keys())
        if found.get(part) != wanted.get(part)
    ]
    if differing:
        more = len(differing) - NAMED_DIFFERENCES
        told = "; ".join(differing[:NAMED_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
        raise InputError(
            f"{directory}: was prepared from other files than {manual_dir} holds now, or by other settings ({told}): "
            "remove that folder and start again: only slides that changed are read anew; or give another data_dir"
        )


def _lks_directory(data_dir):
    return Path(data_dir) / "lks" / lks.VERSION
