"""Prepared data sets: made once from the downloaded files, read scan by scan. The only file that knows TFDS."""

import contextlib
import errno
import io
import json
import operator
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_builders.luna16 import VERSION, files
from medssl_jax.atomic import writable_directory
from medssl_jax.data.preparation import PreparedScan
from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid

SPLIT = "scans"
GRID_FIELDS = ("spacing_zyx_mm", "origin_xyz_mm", "direction")


class Luna16Source(Sequence):
    """The scans of a prepared LUNA16, by subset, then by series UID; a random-access source for grain.

    `series_uids`, `subsets` and `fingerprint`, a short name of exactly this data, are there without decoding a volume.
    """

    def __init__(self, directory: Path):
        index = json.loads((directory / "metadata.json").read_text())
        self.series_uids: tuple[str, ...] = tuple(index["series_uids"])
        self.subsets: tuple[int, ...] = tuple(index["subsets"])
        self.fingerprint: str = index["fingerprint"]
        self._directory = directory
        self._records: Any = None

    def __len__(self) -> int:
        return len(self.series_uids)

    def __getitem__(self, index):
        index = range(len(self))[operator.index(index)]
        record = self._open_records()[index]
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

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_records": None}  # grain's workers open the files for themselves

    def _open_records(self):
        if self._records is None:
            import tensorflow_datasets as tfds

            self._records = tfds.builder_from_directory(self._directory).as_data_source(SPLIT)
        return self._records


def open_luna16(data_dir: str | os.PathLike) -> Luna16Source:
    """Opens what `prepare_luna16` made; `InputError` if there is nothing."""
    directory = _luna16_directory(data_dir)
    if not (directory / "metadata.json").is_file():
        raise InputError(
            f"{data_dir}: no prepared LUNA16 ({VERSION}) here: run "
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
    if prepared and not files.is_there(manual_dir):
        return
    scans = files.find_scans(manual_dir)

    import tensorflow_datasets as tfds

    from data_builders.luna16.luna16_dataset_builder import Luna16, fingerprint

    if prepared:
        found, wanted = open_luna16(data_dir).fingerprint, fingerprint(scans)
        if found != wanted:
            raise InputError(
                f"{_luna16_directory(data_dir)}: was prepared from other files than {manual_dir} holds now, or by "
                f"other settings (fingerprint {found}, expected {wanted}): remove that folder, or give another data_dir"
            )
        return
    tfds.disable_progress_bar()
    builder = Luna16(data_dir=writable_directory(data_dir), file_format="array_record")
    # TFDS announces a download, and makes a folder for it; there is none.
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as unused:
        config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
        try:
            builder.download_and_prepare(download_dir=unused, download_config=config)
        except (OSError, RuntimeError) as error:
            # ArrayRecord says by RuntimeError that the disk is full.
            if isinstance(error, RuntimeError) and os.strerror(errno.ENOSPC) not in str(error):
                raise
            if isinstance(error, OSError) and str(error.filename).startswith(str(manual_dir)):
                raise InputError(f"{error.filename}: cannot be read ({error.strerror}): copy the file again") from error
            raise InputError(f"{data_dir}: cannot be written: {error}: free some space and start again") from error


def _luna16_directory(data_dir):
    return Path(data_dir) / "luna16" / VERSION
