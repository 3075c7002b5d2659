"""The TFDS data set of LKS: one record a slide, beside a store of its patches. Needs no TensorFlow."""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Bool, UInt8

from data_builders import lks
from data_builders.canonical_records import CanonicalWriter
from data_builders.lks import lks_files
from medssl_jax.core.progress import Progress, progress_bar
from medssl_jax.data.slides.foreground import BACKGROUND_GREY_LEVELS, foreground_patches
from medssl_jax.data.slides.patch_store import PreparedSlide
from medssl_jax.data.slides.slide_stores import SlideToStore, store_path, write_stores
from medssl_jax.imaging.slides import SlideLayout

WORKERS = 2
SLIDES_PER_SHARD = 64  # TFDS holds the low-resolution images of one shard in memory, 1 MB each


class Lks(tfds.core.ShardBasedBuilder):
    """Splits `train` and `test`, each ordered by name; `metadata.json` lists all slides, training before test.

    Patches are not in the records, which would then be too large to read for a low-resolution image alone: they are in
    `slides/<split>/<name>.array_record` beside this version's folder, and stay there when a build is interrupted.
    """

    VERSION = tfds.core.Version(lks.VERSION)
    RELEASE_NOTES = {lks.VERSION: "First release."}  # noqa: RUF012 - as TFDS declares it
    MANUAL_DOWNLOAD_INSTRUCTIONS = "See README.md: LKS's files, unpacked into manual_dir."

    def __init__(
        self,
        *,
        layout: SlideLayout | None = None,
        background_threshold: float = BACKGROUND_GREY_LEVELS,
        workers: int = WORKERS,
        progress: Progress | None = None,
        **options: Any,
    ):
        # TFDS asks for the features while it sets itself up.
        self.layout = layout or SlideLayout()
        self.background_threshold = background_threshold
        self._workers = workers
        self._progress = progress or progress_bar("preparing", "slides")
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        def array(*shape: int) -> tfds.features.Tensor:
            # Not zlib: ArrayRecord compresses already.
            return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")

        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "name": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=lks_files.CLASSES),
                    "low_resolution": array(self.layout.low_side, self.layout.low_side),
                    "foreground": array(self.layout.grid**2),
                }
            ),
            homepage="https://github.com/cradleai/LKS-Dataset",
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[..., Any]]]:
        slides = lks_files.find_slides(Path(dl_manager.manual_dir))
        self.write_stores(slides)
        sources, foreground_counts = [], []
        for slide in slides:
            with PreparedSlide(self.store_path(slide)) as prepared:
                sources.append(prepared.source)
                foreground_counts.append(int(self._foreground(prepared.low_resolution()).sum()))
        description = self.describe(slides, sources)
        self.info.metadata.update(
            fingerprint=hashlib.sha256(json.dumps(description).encode()).hexdigest()[:16],
            layout=dataclasses.asdict(self.layout),
            background_threshold=self.background_threshold,
            names=[slide.name for slide in slides],
            splits=[slide.split for slide in slides],
            labels=[slide.label for slide in slides],
            foreground_counts=foreground_counts,
            description=description,
        )
        return {
            split: _shards(self._records([slide for slide in slides if slide.split == split]), count)
            for split in lks_files.SPLITS
            if (count := sum(slide.split == split for slide in slides))
        }

    def _example_writer(self) -> CanonicalWriter:
        return CanonicalWriter(self.info.file_format)

    def write_stores(self, slides: Sequence[lks_files.SlideFile]) -> None:
        """Writes the stores that are absent or stale; see `medssl_jax.data.slides.slide_stores.write_stores`."""
        stored = [SlideToStore(slide.path, self.store_path(slide), self.layout) for slide in slides]
        write_stores(stored, workers=self._workers, progress=self._progress)

    def store_path(self, slide: lks_files.SlideFile) -> Path:
        """The path of the file with a slide's patches."""
        return store_path(Path(self._data_dir_root) / self.name, slide.split, slide.name)

    def describe(self, slides: Sequence[lks_files.SlideFile], sources: Sequence[str]) -> dict[str, Any]:
        """All that decides what is stored: the settings, and of each slide its class and what `source` says of it."""
        return {
            "builder": lks.VERSION,
            **dataclasses.asdict(self.layout),
            "background_threshold": self.background_threshold,
            **{
                f"{slide.split}/{slide.name}": f"{lks_files.CLASSES[slide.label]} {source}"
                for slide, source in zip(slides, sources, strict=True)
            },
        }

    def _records(self, slides: Sequence[lks_files.SlideFile]) -> Iterator[tuple[str, dict[str, Any]]]:
        for slide in slides:
            with PreparedSlide(self.store_path(slide)) as prepared:
                low_resolution = prepared.low_resolution()
            yield (
                slide.name,
                {
                    "name": slide.name,
                    "label": slide.label,
                    "low_resolution": low_resolution,
                    "foreground": self._foreground(low_resolution).astype(np.uint8),
                },
            )

    def _foreground(self, low_resolution: UInt8[np.ndarray, "side side"]) -> Bool[np.ndarray, " patches"]:
        return foreground_patches(low_resolution, self.layout, self.background_threshold)


def _shards(records: Iterator[Any], count: int) -> list[Callable[[], Iterator[Any]]]:
    one_shard = partial(itertools.islice, records, SLIDES_PER_SHARD)
    return [one_shard] * (math.ceil(count / SLIDES_PER_SHARD) - 1) + [lambda: records]
