"""Prepared scans as records, a few in a file: written scan by scan, so that a kill costs the scan in hand.

    part-KEY          one record, waiting for the others of its shard
    shard-KEY         the shard: exactly the file that TFDS would write
    summary-KEY.json  what is in it

A key is a hash of all that decides the bytes; what is there under its key is finished, and made anew where its SHA-256
is not what it should be.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import example_serializer, file_adapters, writer

from data_builders.canonical_records import canonical_record
from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.checksums import file_sha256, sealed, unsealed
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import Preparation, PreparedScan, prepare_scan
from medssl_jax.data.scans.scan_files import ScanFiles

ARRAY_RECORD = file_adapters.FileFormat.ARRAY_RECORD


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """The scans of one file of records, with their keys, and how they are prepared."""

    scans: tuple[ScanFiles, ...]
    keys: tuple[str, ...]
    preparation: Preparation

    def records_path(self, folder: Path) -> Path:
        """The path of the finished shard."""
        return folder / f"shard-{self._key}"

    def summary_path(self, folder: Path) -> Path:
        """The path of its summary, which is written last."""
        return folder / f"summary-{self._key}.json"

    @property
    def _key(self) -> str:
        return hashlib.sha256(" ".join(self.keys).encode()).hexdigest()[:32]


@dataclasses.dataclass
class ShardSummary:
    """The contents of a shard: the metadata of its scans in order, by key.

    `left_out` says why a scan is not in it, `left_out_keys` which one that was, by series UID; `sha256` is that of the
    file, "" where there is none or it is not known yet.
    """

    scans: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    left_out_keys: dict[str, str] = dataclasses.field(default_factory=dict)
    sha256: str = ""

    def to_json(self) -> str:
        """The summary as it lies on disk."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ShardSummary":
        """Reads what `to_json` made."""
        return cls(**json.loads(text))


def scan_features() -> tfds.features.FeaturesDict:
    """The features of one record."""

    def numbers(*shape: int) -> tfds.features.Tensor:
        # float64 as bytes, because tf.train.Example keeps float32 only.
        return tfds.features.Tensor(shape=shape, dtype=np.float64, encoding="bytes")

    def volume(dtype: type[np.integer]) -> tfds.features.Tensor:
        # Not zlib: ArrayRecord compresses already, smaller and six times faster.
        return tfds.features.Tensor(shape=(None, None, None), dtype=dtype, encoding="bytes")

    return tfds.features.FeaturesDict(
        {
            "series_uid": tfds.features.Text(),
            "patient": tfds.features.Text(),
            "subset": np.int32,
            "is_labelled": np.bool_,
            "hu": volume(np.int16),
            "lungs": volume(np.uint8),
            "boxes_zyxdhw_voxel": tfds.features.Tensor(shape=(None, 6), dtype=np.float32),
            "spacing_zyx_mm": numbers(3),
            "origin_xyz_mm": numbers(3),
            "direction": numbers(9),
            "source_spacing_zyx_mm": numbers(3),
        }
    )


def write_shard(shard: Shard, folder: Path) -> ShardSummary:
    """Prepares what is not there yet and writes the shard, unless it is there whole.

    Where scans cannot be prepared the shard holds the others, and the summary says why.
    """
    if finished := _finished(shard, folder):
        return finished
    summary = ShardSummary()
    for scan, key in zip(shard.scans, shard.keys, strict=True):
        try:
            summary.scans[key] = _write_part(scan, folder / f"part-{key}", shard.preparation)
        except InputError as error:
            summary.left_out[scan.series_uid], summary.left_out_keys[scan.series_uid] = str(error), key
    parts = [folder / f"part-{key}" for key in summary.scans]
    if parts:
        with atomic_path(shard.records_path(folder)) as temporary:
            records = ((index, _record_of(part)) for index, part in enumerate(parts))
            writer.ExampleWriter(ARRAY_RECORD).write(temporary, records)
        summary.sha256 = file_sha256(shard.records_path(folder))
    with atomic_path(shard.summary_path(folder)) as temporary:
        temporary.write_bytes(sealed(summary.to_json()))
    if not summary.left_out:
        for part in parts:
            part.unlink(missing_ok=True)
    return summary


def shard_examples(
    shard: Shard, summary_path: epath.Path, *, allow_absent: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The examples of a shard, for TFDS to write: Beam's workers share no folder to keep parts in.

    The summary is written when all are out. Raises `InputError` for a scan that cannot be prepared unless
    `allow_absent`, and where none can.
    """
    summary = ShardSummary()
    for scan, key in zip(shard.scans, shard.keys, strict=True):
        try:
            prepared = prepare_scan(scan, preparation=shard.preparation)
        except InputError as error:
            if not allow_absent:
                raise
            summary.left_out[scan.series_uid], summary.left_out_keys[scan.series_uid] = str(error), key
            continue
        summary.scans[key] = _metadata(prepared, _record(prepared))
        yield scan.series_uid, _example(prepared)
    if not summary.scans:
        reasons = " | ".join(summary.left_out.values())
        raise InputError(
            f"none of the scans of a shard can be prepared ({reasons}), which Beam's shards must not be: mend one, "
            "take all of them away, or prepare without --beam_runner"
        )
    summary_path.write_text(summary.to_json())


def _finished(shard: Shard, folder: Path) -> ShardSummary | None:
    """The summary of a shard that is there whole, without failures."""
    summary_path, records_path = shard.summary_path(folder), shard.records_path(folder)
    if not (summary_path.is_file() and records_path.is_file()):
        return None
    text = unsealed(summary_path.read_bytes())
    summary = ShardSummary.from_json(text) if text else None
    return summary if summary and not summary.left_out and summary.sha256 == file_sha256(records_path) else None


def _write_part(scan: ScanFiles, path: Path, preparation: Preparation) -> dict[str, Any]:
    """The metadata of one scan, which is prepared unless its part is there whole.

    The first line of a part is the metadata, the rest the record.
    """
    metadata = _metadata_of(path)
    if metadata is None:
        prepared = prepare_scan(scan, preparation=preparation)
        record = _record(prepared)
        metadata = _metadata(prepared, record)
        with atomic_path(path) as temporary:
            temporary.write_bytes(sealed(json.dumps(metadata)) + record)
    return metadata


def _metadata(scan: PreparedScan, record: bytes) -> dict[str, Any]:
    """The entry of a scan in the data set's `metadata.json`, which is there without reading a voxel."""
    return {
        "series_uid": scan.series_uid,
        "patient": scan.patient,
        "subset": scan.subset,
        "is_labelled": scan.is_labelled,
        "size_zyx": list(scan.grid.size_zyx),
        "record_sha256": hashlib.sha256(record).hexdigest(),
    }


def _metadata_of(part: Path) -> dict[str, Any] | None:
    """The metadata of a part, None where it is not there whole."""
    if not part.is_file():
        return None
    with part.open("rb") as file:
        text, record = unsealed(file.readline()), file.read()
    metadata = json.loads(text) if text else None
    return metadata if metadata and metadata["record_sha256"] == hashlib.sha256(record).hexdigest() else None


def _record_of(part: Path) -> bytes:
    with part.open("rb") as file:
        file.readline()
        return file.read()


def _record(scan: PreparedScan) -> bytes:
    features = scan_features()
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    return canonical_record(serializer.get_tf_example(features.encode_example(_example(scan))))


def _example(scan: PreparedScan) -> dict[str, Any]:
    return {
        "series_uid": scan.series_uid,
        "patient": scan.patient,
        "subset": scan.subset,
        "is_labelled": scan.is_labelled,
        "hu": scan.hu,
        "lungs": scan.lungs,
        "boxes_zyxdhw_voxel": scan.boxes_zyxdhw_voxel,
        "spacing_zyx_mm": np.array(scan.grid.spacing_zyx_mm),
        "origin_xyz_mm": np.array(scan.grid.origin_xyz_mm),
        "direction": np.array(scan.grid.direction),
        "source_spacing_zyx_mm": np.array(scan.source_spacing_zyx_mm),
    }
