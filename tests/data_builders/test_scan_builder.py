"""A build ends in the same bytes whoever does it and however often it is interrupted."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from data_builders import scan_shard
from data_builders.scan_source import open_scans, prepare_scans
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import silent
from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom

SPEC = Luna16Phantom(seed=3, scans=10, chest_zyx_mm=(64.0, 64.0, 72.0))
KILLS = 10


@pytest.fixture(scope="module")
def luna16(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    write_luna16_phantom(SPEC, folder)
    return folder


@pytest.fixture(scope="module")
def default(luna16, tmp_path_factory):
    folder = tmp_path_factory.mktemp("default")
    prepare(luna16, folder)
    return folder


def prepare(luna16, data_dir, **options):
    prepare_scans("luna16", luna16, data_dir, **{"workers": 1, "progress": silent} | options)


def contents(data_dir):
    return {path.relative_to(data_dir): path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}


def damage(luna16, copy, index=5):
    """LUNA16 with a mask that does not decompress."""
    subprocess.run(["cp", "-r", luna16, copy], check=True)
    mask = copy / "seg-lungs-LUNA16" / f"{SPEC.series_uid(index)}.zraw"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:2] + b"\xff" * (len(whole) - 2))  # deflate has no block of the kind 3
    return mask, whole


def test_the_number_of_workers_does_not_matter(luna16, default, tmp_path):
    prepare(luna16, tmp_path, workers=2)
    assert contents(tmp_path) == contents(default)
    assert len([path for path in contents(default) if "array_record" in path.name]) == 3


def test_nothing_but_the_data_set_is_left(default):
    assert [path.name for path in default.iterdir()] == ["luna16"]
    assert [path.name for path in (default / "luna16").glob("[!.]*")] == ["5.0.0"]


def test_a_scan_that_cannot_be_read_costs_no_other(luna16, default, tmp_path, monkeypatch):
    mask, whole = damage(luna16, tmp_path / "raw")
    with pytest.raises(InputError, match=r"1 scans cannot be prepared, the others are finished.*does not decompress"):
        prepare(tmp_path / "raw", tmp_path / "data")
    mask.write_bytes(whole)
    loaded = []
    monkeypatch.setattr(
        scan_shard,
        "prepare_scan",
        lambda scan, original=scan_shard.prepare_scan, **how: loaded.append(scan.series_uid) or original(scan, **how),
    )
    prepare(tmp_path / "raw", tmp_path / "data")
    assert loaded == [SPEC.series_uid(5)]
    assert contents(tmp_path / "data") == contents(default)


def test_it_is_left_out_if_asked_for(luna16, tmp_path):
    damage(luna16, tmp_path / "raw")
    prepare(tmp_path / "raw", tmp_path / "data", allow_absent=True)
    source = open_scans("luna16", tmp_path / "data")
    assert len(source) == 9
    assert "does not decompress" in source.left_out[SPEC.series_uid(5)]
    assert [scan.series_uid for scan in source] == list(source.series_uids)
    prepare(tmp_path / "raw", tmp_path / "data", allow_absent=True)
    with pytest.raises(InputError, match=r"was prepared without 1 scans, which only --allow_absent accepts"):
        prepare(tmp_path / "raw", tmp_path / "data")


def test_a_scan_left_out_and_mended_since_is_not_left_out_in_silence(luna16, default, tmp_path):
    mask, whole = damage(luna16, tmp_path / "raw")
    mask.write_bytes(bytes(len(whole)))
    prepare(tmp_path / "raw", tmp_path / "data", allow_absent=True)
    mask.write_bytes(whole)
    with pytest.raises(InputError, match="without 1 scans that have changed since"):
        prepare(tmp_path / "raw", tmp_path / "data", allow_absent=True)
    shutil.rmtree(tmp_path / "data")
    prepare(tmp_path / "raw", tmp_path / "data", allow_absent=True)
    assert contents(tmp_path / "data") == contents(default)


def test_two_at_once_end_as_one(luna16, default, tmp_path):
    command = prepare_command(luna16, tmp_path)
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert contents(tmp_path) == contents(default)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam_runner=Nonsense"], "--beam_runner: found Nonsense, expected a runner of Apache Beam"),
        (["--beam_options=--x=1"], "--beam_options: found without --beam_runner"),
    ],
)
def test_beam_flags_that_cannot_be(luna16, tmp_path, options, message):
    done = subprocess.run(prepare_command(luna16, tmp_path, *options), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"error: {message}" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_that_can_be_prepared_is_an_error(luna16, tmp_path):
    for path in damage(luna16, tmp_path / "raw")[0].parent.glob("*.zraw"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InputError, match="no scan could be prepared"):
        prepare(tmp_path / "raw", tmp_path / "data", allow_absent=True)


def test_a_shard_that_is_there_is_not_made_again(luna16, default, tmp_path, monkeypatch):
    damage(luna16, tmp_path / "raw")
    with pytest.raises(InputError):
        prepare(tmp_path / "raw", tmp_path / "data")
    shards = sorted((tmp_path / "data").rglob("shard-*"))
    before = [path.stat().st_mtime_ns for path in shards if path.suffix != ".json"]
    with pytest.raises(InputError):
        prepare(tmp_path / "raw", tmp_path / "data")
    assert len(set(before) & {path.stat().st_mtime_ns for path in shards}) == 2


@pytest.mark.parametrize("kind", ["shard", "shard.json", "part"])
def test_what_was_damaged_in_between_is_made_anew(luna16, default, tmp_path, kind):
    mask, whole = damage(luna16, tmp_path / "raw")
    with pytest.raises(InputError):
        prepare(tmp_path / "raw", tmp_path / "data")
    building = tmp_path / "data" / "luna16" / "building"
    waiting = {
        "part": building.glob("part-*"),
        "shard": building.glob("shard-*[!n]"),
        "shard.json": building.glob("*.json"),
    }
    paths = sorted(waiting[kind])
    assert len(paths) == 3
    for path in paths:
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 1
        path.write_bytes(data)
    mask.write_bytes(whole)
    prepare(tmp_path / "raw", tmp_path / "data")
    assert contents(tmp_path / "data") == contents(default)


def prepare_command(luna16, data_dir, *options):
    command = [sys.executable, "-m", "experiments.prepare", "--dataset=luna16"]
    return [*command, f"--manual_dir={luna16}", f"--data_dir={data_dir}", *options]


def test_beam_makes_the_same_records(luna16, default, tmp_path):
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"  # in one process: others start servers
    subprocess.run(prepare_command(luna16, tmp_path, f"--beam_runner={runner}"), check=True, capture_output=True)
    ours, beams = contents(default), contents(tmp_path)
    assert ours.keys() == beams.keys()
    for path in ours:
        if "array_record" in path.name or path.name == "metadata.json":
            assert beams[path] == ours[path], path
    one, other = (open_scans("luna16", folder) for folder in (default, tmp_path))
    assert one.fingerprint == other.fingerprint
    assert [scan.hu.tobytes() for scan in one] == [scan.hu.tobytes() for scan in other]


@pytest.mark.slow
def test_kill_at_random_moments(tmp_path):
    spec = Luna16Phantom(seed=4, scans=120, chest_zyx_mm=(64.0, 64.0, 72.0))
    raw, whole, killed = tmp_path / "raw", tmp_path / "whole", tmp_path / "killed"
    write_luna16_phantom(spec, raw)
    prepare(raw, whole)
    moments = random.Random(0)

    def finished():
        names = [path.name for path in (killed / "luna16" / "building").glob("*-*") if not path.suffix]
        return sum(4 if name.startswith("shard") else 1 for name in names)

    for _ in range(KILLS):
        wanted = finished() + moments.randint(0, 2)
        with subprocess.Popen(prepare_command(raw, killed), stdout=subprocess.DEVNULL) as process:
            while finished() < wanted and process.poll() is None:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.1))
            assert process.poll() is None, "it ended before it could be killed: make more scans"
            os.kill(process.pid, signal.SIGKILL)
    assert finished() > 4
    subprocess.run(prepare_command(raw, killed), check=True, capture_output=True)
    assert contents(killed) == contents(whole)
