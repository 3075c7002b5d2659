"""The TFDS data set of LUNA16: one record a scan, at 1 mm, ready to be cut into patches. Needs no TensorFlow."""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data_builders import luna16
from data_builders.luna16 import files
from medssl_jax.data import preparation
from medssl_jax.progress import progress_bar
from medssl_jax.volumes import read_labels, read_volume

SPLIT = "scans"
THREADS = 2
SCANS_PER_SHARD = 4  # TFDS holds the scans of one shard in memory
SETTINGS = (
    preparation.HU_RANGE,
    preparation.SPACING_MM,
    preparation.LUNA16_LUNG_LABELS,
    preparation.LUNG_DILATION_MM,
)


class Luna16(tfds.core.ShardBasedBuilder):
    """One split; records are ordered by subset, then by series UID, and `metadata.json` lists both in that order.

    Shard-based, because a generator-based builder sorts its records, and needs TensorFlow for it above 1 GB.
    """

    VERSION = tfds.core.Version(luna16.VERSION)
    RELEASE_NOTES = {luna16.VERSION: "First release."}  # noqa: RUF012 - as TFDS declares it
    MANUAL_DOWNLOAD_INSTRUCTIONS = "See README.md: LUNA16's files, unzipped into manual_dir."

    def _info(self) -> tfds.core.DatasetInfo:
        def numbers(*shape):
            # float64 as bytes, because tf.train.Example keeps float32 only.
            return tfds.features.Tensor(shape=shape, dtype=np.float64, encoding="bytes")

        def volume(dtype):
            # Not zlib: ArrayRecord compresses already, smaller and six times faster.
            return tfds.features.Tensor(shape=(None, None, None), dtype=dtype, encoding="bytes")

        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "series_uid": tfds.features.Text(),
                    "subset": np.int32,
                    "hu": volume(np.int16),
                    "lungs": volume(np.uint8),
                    "boxes_zyxdhw_voxel": tfds.features.Tensor(shape=(None, 6), dtype=np.float32),
                    "spacing_zyx_mm": numbers(3),
                    "origin_xyz_mm": numbers(3),
                    "direction": numbers(9),
                    "source_spacing_zyx_mm": numbers(3),
                }
            ),
            homepage="https://luna16.grand-challenge.org",
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: tfds.download.DownloadManager) -> dict[str, list[Callable]]:
        scans = files.find_scans(Path(dl_manager.manual_dir))
        self.info.metadata.update(
            fingerprint=fingerprint(scans),
            series_uids=[scan.series_uid for scan in scans],
            subsets=[scan.subset for scan in scans],
        )
        prepared = progress_bar("preparing", "scans")(_prepared(scans), total=len(scans))
        records = ((scan.series_uid, _record(scan)) for scan in prepared)
        one_shard = partial(itertools.islice, records, SCANS_PER_SHARD)
        shards = math.ceil(len(scans) / SCANS_PER_SHARD)
        return {SPLIT: [one_shard] * (shards - 1) + [lambda: records]}


def fingerprint(scans: tuple[files.ScanFiles, ...]) -> str:
    """A short name for exactly this data: the files it comes from, how they are prepared, the builder's version."""
    return hashlib.sha256(repr((files.describe(scans), luna16.VERSION, SETTINGS)).encode()).hexdigest()[:16]


def _prepared(scans: tuple[files.ScanFiles, ...]) -> Iterator[preparation.PreparedScan]:
    """Prepares scans in order, `THREADS` at a time; SimpleITK lets threads run while it computes."""
    waiting = iter(scans)
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(_prepare, scan) for scan in itertools.islice(waiting, THREADS)]
        while running:
            prepared = running.pop(0).result()
            running.extend(pool.submit(_prepare, scan) for scan in itertools.islice(waiting, 1))
            yield prepared


def _prepare(scan):
    return preparation.prepare_scan(
        read_volume(scan.scan_path),
        read_labels(scan.lungs_path),
        scan.centres_xyz_mm,
        scan.diameters_mm,
        subset=scan.subset,
        lung_labels=preparation.LUNA16_LUNG_LABELS,
    )


def _record(scan):
    return {
        "series_uid": scan.series_uid,
        "subset": scan.subset,
        "hu": scan.hu,
        "lungs": scan.lungs,
        "boxes_zyxdhw_voxel": scan.boxes_zyxdhw_voxel,
        "spacing_zyx_mm": np.array(scan.grid.spacing_zyx_mm),
        "origin_xyz_mm": np.array(scan.grid.origin_xyz_mm),
        "direction": np.array(scan.grid.direction),
        "source_spacing_zyx_mm": np.array(scan.source_spacing_zyx_mm),
    }
