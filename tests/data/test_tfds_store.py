"""What is handed to TFDS and Beam, what their failures become, and how often shards are opened."""

import errno
import hashlib
import os
import sys
from pathlib import Path

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.data import tfds_store
from medssl_jax.data.tfds_store import DESCRIBING_FILES, Records, is_made, make


class Builder:
    """Writes the files that describe a data set, or fails."""

    def __init__(self, folder, error=None):
        self.data_dir, self.error = str(folder), error
        folder.mkdir()

    def download_and_prepare(self, *, download_dir, download_config):
        self.config = download_config
        print("what TFDS says")
        if self.error:
            raise self.error
        for name in DESCRIBING_FILES:
            (Path(self.data_dir) / name).write_text("{}")


def test_what_tfds_says_is_not_shown_and_what_was_made_is_sealed(tmp_path, capsys):
    builder = Builder(tmp_path / "made")
    make(builder, tmp_path / "raw")
    assert capsys.readouterr().out == ""
    assert builder.config.manual_dir == tmp_path / "raw"
    assert builder.config.beam_runner is builder.config.beam_options is None
    assert not builder.config.try_download_gcs
    assert is_made(tmp_path / "made")
    assert not is_made(tmp_path)


def test_beam_gets_its_flags(tmp_path):
    builder = Builder(tmp_path / "made")
    make(builder, tmp_path, beam_runner="DirectRunner", beam_options=["--direct_num_workers=3"])
    assert builder.config.beam_runner == "DirectRunner"
    assert builder.config.beam_options.get_all_options()["direct_num_workers"] == 3


def test_beam_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam.runners", None)
    with pytest.raises(InputError, match="--beam_runner: Apache Beam is not installed: pip install"):
        make(Builder(tmp_path / "made"), tmp_path, beam_runner="DirectRunner")


@pytest.mark.parametrize("runner", ["Nonsense", "no.such.Runner", "os.Runner"])
def test_a_runner_that_beam_does_not_know(tmp_path, runner):
    with pytest.raises(
        InputError, match=rf"--beam_runner: found {runner}, expected a runner of Apache Beam \(.*(Runner|Nonsense|no)"
    ):
        make(Builder(tmp_path / "made"), tmp_path, beam_runner=runner)


def full(path):
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (full("{root}/made/shard"), r"{root}/made: cannot be written: .*No space left.*: free some space"),
        (RuntimeError("write() failed: No space left on device"), r"{root}/made: cannot be written: .*No space left"),
        (
            OSError(errno.EIO, "Input/output error", "{root}/raw/scan.mhd"),
            r"{root}/raw/scan.mhd: cannot be read \(Input",
        ),
    ],
)
def test_what_the_disk_refuses_is_named(tmp_path, error, said):
    if isinstance(error, OSError):
        error.filename = error.filename.format(root=tmp_path)
    with pytest.raises(InputError, match=said.format(root=tmp_path)):
        make(Builder(tmp_path / "made", error), tmp_path / "raw")
    assert not is_made(tmp_path / "made")


def test_what_else_fails_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"):
        make(Builder(tmp_path / "made", RuntimeError("a bug")), tmp_path)


def test_a_split_is_opened_anew_after_so_many_records(tmp_path, monkeypatch):
    opened = []

    class Opened:
        source = (b"a", b"b", b"c")

        def __init__(self, directory, split):
            opened.append((directory, split))
            self.features = self

        def deserialize_example_np(self, record):
            return {"bytes": record}

    monkeypatch.setattr(tfds_store, "_Opened", Opened)
    monkeypatch.setattr(tfds_store, "REOPEN_AFTER", 3)
    records = Records(tmp_path, "scans", [hashlib.sha256(each).hexdigest() for each in Opened.source])
    read = []
    for index in (0, -1, 1, 2, 0, 1, 2):
        read.append(records[index]["bytes"])
        assert len(opened) == 1 + (len(read) - 1) // 3
    assert read == [b"a", b"c", b"b", b"c", b"a", b"b", b"c"]
    assert set(opened) == {(tmp_path, "scans")}
