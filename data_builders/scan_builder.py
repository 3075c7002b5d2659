"""The base of the builders of CT data sets: one record a scan, made by parallel processes or by Apache Beam.

A builder says which scans there are (`find_scans`); everything else is here. Finished shards wait in `building/` beside
the data set until it is whole, so an interrupted build is simply started again. With a Beam runner TFDS makes the same
shards on Beam's workers instead. Needs no TensorFlow.
"""

import abc
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from etils import epath, epy

from data_builders.canonical_records import CanonicalWriter
from data_builders.scan_shard import Shard, ShardSummary, scan_features, shard_examples, write_shard
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import some
from medssl_jax.core.progress import Progress, progress_bar
from medssl_jax.core.worker_pool import results_as_completed
from medssl_jax.data.scans.preparation import DEFAULT_PREPARATION, HU_RANGE, LUNG_DILATION_MM, LUNGS, Preparation
from medssl_jax.data.scans.scan_files import ScanFiles

with epy.lazy_imports():
    import SimpleITK as sitk

SPLIT = "scans"
SCANS_PER_SHARD = 4  # Beam's workers hold the scans of a shard in memory
NAMED_FAILURES = 10


class ScanBuilder(tfds.core.ShardBasedBuilder):
    """One split, `scans`, in the order of `find_scans`; `metadata.json` lists them in that order.

    Shard-based, because a generator-based builder sorts its records, and needs TensorFlow for it above 1 GB. Scans that
    cannot be prepared are reported when all others are finished; `allow_absent` leaves them out, and
    `metadata.json` names them.
    """

    HOMEPAGE = ""
    MANUAL_DOWNLOAD_INSTRUCTIONS = "See README.md: the files as downloaded, in manual_dir."

    def __init__(
        self,
        *,
        workers: int = 2,
        progress: Progress | None = None,
        allow_absent: bool = False,
        preparation: Preparation = DEFAULT_PREPARATION,
        **options: Any,
    ):
        self.workers = workers
        self.progress = progress or progress_bar("preparing", "scans")
        self.allow_absent = allow_absent
        self.preparation = preparation
        super().__init__(**options)

    @abc.abstractmethod
    def find_scans(self, manual_dir: Path) -> tuple[ScanFiles, ...]:
        """The scans in `manual_dir`, in the order of the records.

        Raises `InputError` where the data set is not there or is not whole.
        """

    @abc.abstractmethod
    def is_there(self, manual_dir: Path) -> bool:
        """True if `manual_dir` holds any part of the data set."""

    def fingerprint(self, scans: Sequence[ScanFiles]) -> str:
        """A short name for exactly these scans, prepared by exactly these settings."""
        return _fingerprint([self.key(scan) for scan in scans])

    def key(self, scan: ScanFiles) -> str:
        """Names exactly this scan, prepared by exactly these settings."""
        region, spacing_mm = self.preparation
        settings = (HU_RANGE, spacing_mm, LUNG_DILATION_MM, *((region,) if region != LUNGS else ()))
        decisive = (self.name, str(self.version), settings, scan.series_uid, scan.digest)
        return hashlib.sha256(repr(decisive).encode()).hexdigest()[:32]

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=scan_features(),
            homepage=self.HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _shards(self, manual_dir: Path) -> Iterator[Shard]:
        scans = self.find_scans(manual_dir)
        for start in range(0, len(scans), SCANS_PER_SHARD):
            of_shard = scans[start : start + SCANS_PER_SHARD]
            yield Shard(of_shard, tuple(self.key(scan) for scan in of_shard), self.preparation)

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig | None = None,
    ) -> None:
        if download_config and download_config.beam_runner:
            super()._download_and_prepare(dl_manager, download_config)
            summaries = self._summaries_of_beam()
        else:
            summaries = self._build(tuple(self._shards(Path(dl_manager.manual_dir))))
        self._describe(summaries)

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[..., Any]]]:
        return {
            SPLIT: [
                partial(shard_examples, shard, self._summary_path(index), allow_absent=self.allow_absent)
                for index, shard in enumerate(self._shards(Path(dl_manager.manual_dir)))
            ]
        }

    def _example_writer(self) -> CanonicalWriter:
        return CanonicalWriter(self.info.file_format)

    def _build(self, shards: Sequence[Shard]) -> list[ShardSummary]:
        """Writes the shards in `building/` and links those that hold a scan into the data set."""
        folder = writable_directory(self._building)
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        work = partial(_write_numbered_shard, folder=folder, threads=threads)
        by_number: dict[int, ShardSummary] = {}

        def scan_by_scan() -> Iterator[ScanFiles]:
            for number, summary in results_as_completed(work, list(enumerate(shards)), workers=self.workers):
                by_number[number] = summary
                yield from shards[number].scans

        for _ in self.progress(scan_by_scan(), total=sum(len(shard.scans) for shard in shards)):
            pass
        summaries = [by_number[number] for number in range(len(shards))]
        failures = [reason for summary in summaries for reason in summary.left_out.values()]
        told = some(failures, " | ", most=NAMED_FAILURES)
        if failures and not self.allow_absent:
            raise InputError(
                f"{len(failures)} scans cannot be prepared, the others are finished and kept; mend these, or go on "
                f"without them by --allow_absent: {told}"
            )
        filled = [shard for shard, summary in zip(shards, summaries, strict=True) if summary.scans]
        if not filled:
            raise InputError(f"{folder.parent}: no scan could be prepared: {told}")
        template = self._get_filename_template(split_name=SPLIT)
        for number, shard in enumerate(filled):
            target = template.sharded_filepath(shard_index=number, num_shards=len(filled))
            _link(shard.records_path(folder), Path(target))
        return summaries

    def _describe(self, summaries: Sequence[ShardSummary]) -> None:
        scans = {key: scan for summary in summaries for key, scan in summary.scans.items()}
        self.info.metadata.update(
            fingerprint=_fingerprint(list(scans)),
            scans=list(scans.values()),
            left_out={uid: reason for summary in summaries for uid, reason in summary.left_out.items()},
            left_out_keys={uid: key for summary in summaries for uid, key in summary.left_out_keys.items()},
        )
        # Of Beam's shards TFDS sorts the lengths as text, shard 10 before shard 2.
        lengths = [len(summary.scans) for summary in summaries if summary.scans]
        template = self._get_filename_template(split_name=SPLIT)
        paths = template.sharded_filepaths(num_shards=len(lengths))
        split = tfds.core.SplitInfo(
            name=SPLIT,
            shard_lengths=lengths,
            num_bytes=sum(path.stat().length for path in paths),
            filename_template=template,
        )
        self.info.set_splits(tfds.core.splits.SplitDict([split]))

    def _post_download_and_prepare_hook(self) -> None:
        """Removes the parts of the finished data set, and those that killed builds left behind."""
        shutil.rmtree(self._building, ignore_errors=True)
        for abandoned in Path(self.data_path).parent.glob("incomplete.*"):
            shutil.rmtree(abandoned, ignore_errors=True)

    @property
    def _building(self) -> Path:
        return Path(self.data_dir_root) / self.name / "building"

    def _summary_path(self, index: int) -> epath.Path:
        return epath.Path(self.data_path) / f"summary-{index}.json"

    def _summaries_of_beam(self) -> list[ShardSummary]:
        summaries: list[ShardSummary] = []
        for number in range(len(list(epath.Path(self.data_path).glob("*.array_record-*")))):
            path = self._summary_path(number)
            if not path.exists():
                raise InputError(f"{path}: Beam's workers did not write it: give a --data_dir that all of them see")
            summaries.append(ShardSummary.from_json(path.read_text()))
            path.unlink()
        # A passing note of TFDS's own, which it leaves behind.
        for path in epath.Path(self.data_path).glob("*.shard_infos.json"):
            path.unlink()
        return summaries


def _write_numbered_shard(numbered: tuple[int, Shard], *, folder: Path, threads: int) -> tuple[int, ShardSummary]:
    number, shard = numbered
    # Processes side by side, each with as many threads as there are cores, only get in each other's way.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    return number, write_shard(shard, folder)


def _fingerprint(keys: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(keys).encode()).hexdigest()[:16]


def _link(source: Path, target: Path) -> None:
    # A link costs no room; where the file system has none, a copy.
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
