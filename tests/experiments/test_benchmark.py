"""Every part of the benchmark runs; what it measures is not a test's business."""

import json
import subprocess
import sys

import pytest

from experiments import benchmark
from medssl_jax.core.errors import InputError

QUICK = "score"  # the others compile networks, or start a process for every figure


def run(*arguments):
    command = [sys.executable, "-m", "experiments.benchmark", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def measured_by(*arguments, tmp_path, monkeypatch):
    """What the JSON file holds of each part, measured at its smallest size; nothing is left of what it wrote."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    file = tmp_path / "benchmark.json"
    done = run(*arguments, "--smallest", "--pairs=1", f"--json={file}")
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    # TFDS itself leaves an empty folder of each data set that it describes.
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith("tfds")] == ["benchmark.json"]
    assert all(row["work"] in done.stdout for part in found["parts"].values() for row in part["measured"])
    return found


def test_a_part_is_measured_printed_and_written(tmp_path, monkeypatch):
    sizes = ("--score.scans=10", "--threads=1")
    found = measured_by(QUICK, *sizes, tmp_path=tmp_path, monkeypatch=monkeypatch)
    assert set(found["parts"]) == {QUICK}
    assert "100 marks in 10 scans" in found["parts"][QUICK]["measured"][0]["work"]
    assert found["environment"]["processors"] == 1


@pytest.mark.slow
def test_every_part_runs(tmp_path, monkeypatch):
    found = measured_by(tmp_path=tmp_path, monkeypatch=monkeypatch)
    assert set(found["parts"]) == set(benchmark.PARTS)
    assert all(part["measured"] for part in found["parts"].values())


def test_a_part_that_there_is_not_is_told_in_one_message():
    done = run(QUICK, "speed")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "found 'speed', the parts are:" in done.stderr
    assert all(name in done.stderr for name in benchmark.PARTS)


@pytest.mark.parametrize(
    ("given", "default", "value"), [("64,96", (32,), (64, 96)), ("1.5,2", (0.5, 1.0), (1.5, 2.0)), ("7", 888, 7)]
)
def test_a_size_is_read_as_the_kind_of_its_default(given, default, value):
    assert benchmark.read_size("--part.size", given, default) == value


@pytest.mark.parametrize(("given", "default"), [("many", 888), ("64;96", (32,)), ("", 1)])
def test_a_size_that_is_none_is_told(given, default):
    with pytest.raises(InputError, match=rf"^--part\.size={given}: expected "):
        benchmark.read_size("--part.size", given, default)


@pytest.mark.parametrize(
    ("flag", "told"), [("--help", "experiments.benchmark network --help"), ("--version", "medssl_jax 0.")]
)
def test_help_and_version_are_no_failure(flag, told):
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert told in done.stdout
    if flag == "--help":
        assert all(name in done.stdout for name in benchmark.PARTS)


def test_without_peers_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(InputError, match=r"^--peer needs torch: pip install -c constraints.txt -e '\.\[peers\]'$"):
        benchmark.require_peers()
