"""A prepared data set of CT scans: made once from the files as they lie on disk, then read scan by scan."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import exclusive
from medssl_jax.core.names import some
from medssl_jax.core.progress import Progress
from medssl_jax.data.scans.preparation import DEFAULT_PREPARATION, Preparation, PreparedScan
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.data.tfds_store import Records, check_is_made, is_made, make, read_metadata
from medssl_jax.imaging.geometry import Grid

DATA_SETS = ("luna16", "nlst", "folder")
SPLIT = "scans"
GRID_FIELDS = ("spacing_zyx_mm", "origin_xyz_mm", "direction")


class ScanSource:
    """The scans of a prepared data set in the order of its builder; a random-access source for grain.

    A damaged one raises `InputError` when it is read, a description that is damaged before.

    `series_uids`, `metadata` (of each series) and `fingerprint`, a short name of exactly this data, are there without
    decoding a volume; `left_out` says why a scan is not, by series UID, and `left_out_keys` which one that was.
    """

    def __init__(self, directory: Path):
        index = read_metadata(directory)
        self.metadata: dict[str, ScanMetadata] = {
            scan["series_uid"]: ScanMetadata.from_json(scan) for scan in index["scans"]
        }
        self.series_uids: tuple[str, ...] = tuple(self.metadata)
        self.fingerprint: str = index["fingerprint"]
        self.left_out: dict[str, str] = index["left_out"]
        self.left_out_keys: dict[str, str] = index["left_out_keys"]
        self._name = directory.parent.name
        self._records = Records(directory, SPLIT, [scan["record_sha256"] for scan in index["scans"]])

    def __len__(self) -> int:
        return len(self.series_uids)

    def __getitem__(self, index: int) -> PreparedScan:
        record = self._records[index]
        return PreparedScan(
            series_uid=self.series_uids[index],
            subset=int(record["subset"]),
            hu=record["hu"],
            lungs=record["lungs"],
            boxes_zyxdhw_voxel=np.asarray(record["boxes_zyxdhw_voxel"], np.float32).reshape(-1, 6),
            grid=Grid(record["hu"].shape, *(tuple(record[name].tolist()) for name in GRID_FIELDS)),
            source_spacing_zyx_mm=tuple(record["source_spacing_zyx_mm"].tolist()),
            patient=self.metadata[self.series_uids[index]].patient,
            is_labelled=bool(record["is_labelled"]),
        )

    def __repr__(self) -> str:
        left_out = f", left_out={len(self.left_out)}" if self.left_out else ""
        return f"ScanSource({self._name!r}, fingerprint={self.fingerprint!r}, scans={len(self)}{left_out})"


def open_scans(data_set: str, data_dir: str | os.PathLike[str]) -> ScanSource:
    """Opens what `prepare_scans` made; `InputError` if there is nothing, or its description is damaged."""
    directory = _directory(data_set, data_dir)
    check_is_made(directory, data_set)
    return ScanSource(directory)


def prepare_scans(
    data_set: str,
    manual_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    *,
    workers: int,
    progress: Progress | None = None,
    preparation: Preparation = DEFAULT_PREPARATION,
    beam_runner: str | None = None,
    beam_options: Sequence[str] = (),
    **options: Any,
) -> None:
    """Makes the TFDS data set of the scans in `manual_dir`, unless `data_dir` has it; shows progress.

    An interrupted or failed call is simply made again: what it finished is kept. Where `manual_dir` holds no scans any
    more, `data_dir` is taken as it is. `options` are those of the data set's builder, such as `allow_absent`.

    Raises:
      InputError: the files are incomplete or wrong (see `find_scans` of its builder); scans cannot be
        prepared (all of them in one line, when the others are finished); `data_dir` was made from other files or by
        other settings, or cannot be written.
    """
    manual_dir, directory = Path(manual_dir).absolute(), _directory(data_set, data_dir)
    prepared = is_made(directory)
    if prepared and not manual_dir.is_dir():
        return
    builder_class = importlib.import_module(f"data_builders.{data_set}.{data_set}_dataset_builder").BUILDER
    builder = builder_class(
        data_dir=Path(data_dir),
        file_format="array_record",
        workers=workers,
        progress=progress,
        preparation=preparation,
        **options,
    )
    if prepared:
        _check_unchanged(builder, manual_dir, directory)
        return
    with exclusive(writable_directory(directory.parent), "preparing"):
        if is_made(directory):  # by the process that this one waited for
            _check_unchanged(builder, manual_dir, directory)
            return
        if not builder.is_there(manual_dir):
            builder.find_scans(manual_dir)  # says what to download and where to put it
        make(builder, manual_dir, beam_runner=beam_runner, beam_options=beam_options)


def _check_unchanged(builder: Any, manual_dir: Path, directory: Path) -> None:
    if not builder.is_there(manual_dir):
        return
    source = ScanSource(directory)
    if source.left_out and not builder.allow_absent:
        raise InputError(
            f"{directory}: was prepared without {len(source.left_out)} scans, which only --allow_absent accepts "
            f"({some(list(source.left_out.values()), '; ')}): mend these, remove that folder and start again"
        )
    scans = builder.find_scans(manual_dir)
    mended = [
        scan.series_uid
        for scan in scans
        if scan.series_uid in source.left_out and builder.key(scan) != source.left_out_keys[scan.series_uid]
    ]
    if mended:
        raise InputError(
            f"{directory}: was prepared without {len(mended)} scans that have changed since "
            f"({some(mended)}): remove that folder and start again to take them in, or put the old files "
            "back"
        )
    wanted = builder.fingerprint([scan for scan in scans if scan.series_uid not in source.left_out])
    if source.fingerprint != wanted:
        raise InputError(
            f"{directory}: was prepared from other files than {manual_dir} holds now, or by other settings "
            f"(fingerprint {source.fingerprint}, expected {wanted}): remove that folder, or give another data_dir"
        )


def _directory(data_set: str, data_dir: str | os.PathLike[str]) -> Path:
    if data_set not in DATA_SETS:
        raise InputError(f"data set {data_set!r}: expected one of {', '.join(DATA_SETS)}")
    return Path(data_dir) / data_set / importlib.import_module(f"data_builders.{data_set}").VERSION
