"""TFDS, for data sets made by our own builders: how one is made and how its records are read. Nothing else knows TFDS.

Nothing damaged is read: SHA256SUMS, written last, has the checksums of the files that describe a data set, and those
describe each record by its own.

TFDS is imported when a data set is made or a record is read, not before: training on caches and stores does without.
"""

import bisect
import contextlib
import errno
import hashlib
import io
import itertools
import json
import operator
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etils import epy

from medssl_jax.core.atomic import write_text
from medssl_jax.core.checksums import SUMS_FILE, check_sums, sums_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.requirements import install_line

with epy.lazy_imports():
    import tensorflow_datasets as tfds

METADATA_FILE = "metadata.json"
DESCRIBING_FILES = ("dataset_info.json", "features.json", METADATA_FILE)
# TFDS keeps every shard open that was read from, and systems allow a process about a thousand files.
REOPEN_AFTER = 256


class Records:
    """The records of one split, of which the SHA-256 are given, in order.

    Opened at the first one, and by each process for itself. Raises `InputError` where one is damaged or another's.
    """

    def __init__(self, directory: Path, split: str, sha256: Sequence[str]):
        self._directory, self._split, self._sha256 = directory, split, sha256
        self._opened: Any = None
        self._read = 0

    def __len__(self) -> int:
        return len(self._sha256)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = range(len(self))[operator.index(index)]
        if self._read % REOPEN_AFTER == 0:
            self._opened = None
        self._read += 1
        if self._opened is None:
            self._opened = _Opened(self._directory, self._split)
        try:
            record = self._opened.source[index]
        except (RuntimeError, ValueError) as error:  # ArrayRecord's for a shard that is absent, damaged or unreadable
            raise self._refused(index, f"cannot be read ({str(error).partition(';')[0]})") from error
        if hashlib.sha256(record).hexdigest() != self._sha256[index]:
            raise self._refused(index, "is not the one that was written there")
        return self._opened.features.deserialize_example_np(record)

    def _refused(self, index: int, found: str) -> InputError:
        return InputError(f"{self._opened.shard(index)}: record {index} {found}: {_remedy(self._directory)}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


class _Opened:
    """A split, opened; `source` has its records as bytes."""

    def __init__(self, directory: Path, split: str):
        builder = tfds.builder_from_directory(directory)
        self.features = builder.info.features
        self.source = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        info = builder.info.splits[split]
        self._shards, self._ends = info.filepaths, list(itertools.accumulate(info.shard_lengths))

    def shard(self, index: int) -> os.PathLike[str]:
        """The file that holds a record."""
        return self._shards[bisect.bisect(self._ends, index)]


def is_made(directory: Path) -> bool:
    """True if there is a data set in `directory`, which is `data_dir/NAME/VERSION`; TFDS moves it there when whole.

    Raises `InputError` where a file that describes it is absent or damaged.
    """
    if not (directory / SUMS_FILE).is_file():
        return False
    check_sums(directory, DESCRIBING_FILES, _remedy(directory))
    return True


def check_is_made(directory: Path, title: str) -> None:
    """Raises `InputError` unless `is_made`, with the command that makes the data set, which people call `title`."""
    if not is_made(directory):
        raise InputError(
            f"{directory.parents[1]}: no prepared {title} ({directory.name}) here: run {_command(directory)}"
        )


def read_metadata(directory: Path) -> dict[str, Any]:
    """The metadata that its builder wrote of the data set in `directory`."""
    return json.loads((directory / METADATA_FILE).read_text())


def make(builder: Any, manual_dir: Path, *, beam_runner: str | None = None, beam_options: Sequence[str] = ()) -> None:
    """Makes the data set of a TFDS builder out of the files in `manual_dir`.

    With `beam_runner`, Beam's name of one, TFDS has Beam do the work; `beam_options` are its flags.

    One that was killed when all but its SHA256SUMS was written is finished. Raises `InputError` where one of the files
    cannot be read, the disk has no room, or Beam is asked for and not installed.
    """
    tfds.disable_progress_bar()
    # TFDS announces a download, and makes a folder for it; there is none.
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as unused:
        config = tfds.download.DownloadConfig(
            manual_dir=manual_dir,
            try_download_gcs=False,
            beam_runner=beam_runner,
            beam_options=_beam_options(beam_runner, beam_options) if beam_runner else None,
        )
        try:
            builder.download_and_prepare(download_dir=unused, download_config=config)
        except (OSError, RuntimeError) as error:
            # ArrayRecord says by RuntimeError that the disk is full.
            if isinstance(error, RuntimeError) and os.strerror(errno.ENOSPC) not in str(error):
                raise
            if isinstance(error, OSError) and str(error.filename).startswith(str(manual_dir)):
                raise InputError(f"{error.filename}: cannot be read ({error.strerror}): copy the file again") from error
            raise InputError(
                f"{builder.data_dir}: cannot be written: {error}: free some space and start again"
            ) from error
    directory = Path(builder.data_dir)
    write_text(directory / SUMS_FILE, sums_text(directory, DESCRIBING_FILES))


def _remedy(directory: Path) -> str:
    return f"remove {directory} and run {_command(directory)}"


def _command(directory: Path) -> str:
    name, data_dir = directory.parent.name, directory.parents[1]
    return f"`python -m experiments.prepare --dataset={name} --manual_dir=DIR --data_dir={data_dir}`"


def _beam_options(runner: str, flags: Sequence[str]) -> Any:
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners import create_runner
    except ImportError:
        raise InputError(f"--beam_runner: Apache Beam is not installed: {install_line('beam')}") from None
    try:
        create_runner(runner)
    except (ValueError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--beam_runner: found {runner}, expected a runner of Apache Beam ({reason})") from None
    return PipelineOptions(flags=list(flags))
