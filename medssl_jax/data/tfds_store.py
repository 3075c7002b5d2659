"""TFDS, for data sets made by our own builders: how one is made and how its records are read. Nothing else knows TFDS.

It is imported when a data set is made or a record is read, not before: training on caches and stores does without.
"""

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

from medssl_jax.errors import InputError

METADATA_FILE = "metadata.json"
# TFDS keeps every shard open that was read from, and systems allow a process about a thousand files.
REOPEN_AFTER = 256


class Records(Sequence):
    """The records of one split in order; opened at the first one, and by each process for itself."""

    def __init__(self, directory: Path, split: str, count: int):
        self._directory, self._split, self._count = directory, split, count
        self._opened: Any = None
        self._read = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        index = range(len(self))[operator.index(index)]
        if self._read % REOPEN_AFTER == 0:
            self._opened = None
        self._read += 1
        if self._opened is None:
            import tensorflow_datasets as tfds

            self._opened = tfds.builder_from_directory(self._directory).as_data_source(self._split)
        return self._opened[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def is_made(directory: Path) -> bool:
    """Whether there is a data set in `directory`, which is `data_dir/NAME/VERSION`; TFDS moves it there when whole."""
    return (directory / METADATA_FILE).is_file()


def check_is_made(directory: Path, title: str) -> None:
    """Raises `InputError` unless `is_made`, with the command that makes the data set, which people call `title`."""
    if not is_made(directory):
        name, data_dir = directory.parent.name, directory.parents[1]
        raise InputError(
            f"{data_dir}: no prepared {title} ({directory.name}) here: run "
            f"`python -m experiments.prepare --dataset={name} --manual_dir=DIR --data_dir={data_dir}`"
        )


def read_metadata(directory: Path) -> dict[str, Any]:
    """What its builder tells of the data set in `directory`."""
    return json.loads((directory / METADATA_FILE).read_text())


def make(builder: Any, manual_dir: Path, *, beam_runner: str | None = None, beam_options: Sequence[str] = ()) -> None:
    """Makes the data set of a TFDS builder out of the files in `manual_dir`.

    With `beam_runner`, Beam's name of one, TFDS has Beam do the work; `beam_options` are its flags.

    Raises `InputError` where one of those cannot be read, the disk has no room, or Beam is asked for and not installed.
    """
    import tensorflow_datasets as tfds

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


def _beam_options(runner, flags):
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners import create_runner
    except ImportError:
        raise InputError(
            "--beam_runner: Apache Beam is not installed: `pip install -c constraints.txt -e '.[beam]'`"
        ) from None
    try:
        create_runner(runner)
    except (ValueError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--beam_runner: found {runner}, expected a runner of Apache Beam ({reason})") from None
    return PipelineOptions(flags=list(flags))
