"""Every benchmark runs; what it measures is not a test's business."""

import subprocess
import sys

import pytest

from experiments.benchmark import BENCHMARKS

TINY = {
    "bootstrap_froc": ["--scans=20", "--nodules=30", "--bootstraps=3"],
    "build": ["--scans=2", "--chest_mm=64,64,64"],
    "crops": ["--side=16", "--crops=16", "--scans=2", "--scan_size=40,48,56"],
    "index": ["--series=2", "--slices=6"],
    "read_slide": ["--grid=2", "--patch_side=128", "--shrink=8"],
}


def run(*arguments):
    command = [sys.executable, "-m", "experiments.benchmark", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Those that start a process for every figure are dear.
STARTS_MANY = ("build", "index", "read_slide")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in STARTS_MANY)) for name in sorted(BENCHMARKS)]
)
def test_runs(name, tmp_path):
    done = run(name, *TINY[name], *([] if name == "bootstrap_froc" else [f"--directory={tmp_path}"]))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["speed"]])
def test_an_unknown_one_is_told_which_there_are(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert all(name in done.stderr for name in BENCHMARKS)


@pytest.mark.parametrize(
    ("flag", "told"), [("--help", "experiments.benchmark crops --help"), ("--version", "medssl_jax 0.")]
)
def test_help_and_version_are_no_failure(flag, told):
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert told in done.stdout
