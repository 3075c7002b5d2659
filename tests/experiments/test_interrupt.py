"""A run killed, stopped or with its newest checkpoint damaged goes on to the same bits, as a user would see it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.configs import phantom
from experiments.runs.equality import compare_runs

FLAGS = (
    f"--config={Path(__file__).with_name('small_phantom.py')}",
    "--config.steps=24",
    "--config.ssl.ramp_start_share=0.2",
    "--config.logging.log_every=4",
    "--config.logging.save_every=8",
)
EQUAL = ("last checkpoint", "metrics.jsonl", "split.json", "submission.csv", "froc.json")


def command(name, *flags):
    return [sys.executable, "-m", f"experiments.{name}", *flags]


def run(folder, name, *flags):
    return subprocess.run(command(name, *flags), cwd=folder, capture_output=True, text=True, check=False)


def assert_equal(whole, cut):
    compared = compare_runs(phantom.get_config(), whole, cut)
    assert {each.name for each in compared} >= set(EQUAL)
    assert not [each for each in compared if each.difference]


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").write_text("")
    done = run(tmp_path, "interrupt", *FLAGS, "--workdir=runs")
    assert done.returncode == 2
    assert "error: runs: is not empty, expected a new folder" in done.stderr
    assert os.listdir(tmp_path) == ["runs"]


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_same_bits(tmp_path):
    done = run(tmp_path, "interrupt", *FLAGS, "--workdir=runs", "--kills=3", "--compile_cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^SIGKILL (\d) of 3 (?:in start-up|at step \d+ of 24): status -9", done.stdout, re.M) == [*"123"]
    for name in EQUAL:
        assert re.search(rf"^{re.escape(name)} +equal$", done.stdout, re.M), done.stdout
    # What a cache of compiled functions must not change either.
    plain = run(tmp_path, "focalmix", *FLAGS, "--workdir=plain")
    assert plain.returncode == 0, plain.stderr
    assert not any(
        each.difference for each in compare_runs(phantom.get_config(), tmp_path / "plain", tmp_path / "runs/whole")
    )


@pytest.mark.slow
def test_sigterm_is_saved_in_time_and_resumed_to_the_same_bits(tmp_path):
    done = run(tmp_path, "interrupt", *FLAGS, "--workdir=runs", "--kills=2", "--signal=TERM", "--compile_cache")
    assert done.returncode == 0, done.stdout + done.stderr
    (longest,) = re.findall(r"^status 75 after \d of 2 signals.*; (\S+) s to the end at", done.stdout, re.M)
    assert float(longest) < 60  # 10 on a machine of one's own; the command prints what it is
    for name in EQUAL:
        assert re.search(rf"^{re.escape(name)} +equal$", done.stdout, re.M), done.stdout


@pytest.mark.slow
def test_a_run_of_sos(tmp_path, write_small_sos):
    write_small_sos(tmp_path / "small.py", steps=8)
    done = run(tmp_path, "interrupt", "--config=small.py", "--workdir=runs", "--kills=2", "--compile_cache")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("last checkpoint", "metrics.jsonl", "split.json", "results.json"):
        assert re.search(rf"^{re.escape(name)} +equal$", done.stdout, re.M), done.stdout


def killed_after(folder, step):
    """A run in `cut` that is killed once the metrics of `step` are written."""
    metrics = folder / "cut" / "metrics.jsonl"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command("focalmix", *FLAGS, "--workdir=cut"), cwd=folder, **quiet)
    deadline = time.monotonic() + 600
    while not (metrics.exists() and f'{{"step": {step},' in metrics.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_whatever_is_lost_of_the_newest_checkpoint_it_ends_in_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compile_cache"))
    whole = run(tmp_path, "focalmix", *FLAGS, "--workdir=whole")
    assert whole.returncode == 0, whole.stderr
    killed_after(tmp_path, 20)
    for how in ("truncated", "emptied", "deleted"):
        shutil.copytree(tmp_path / "cut", tmp_path / how)
        kept = sorted(int(path.name) for path in (tmp_path / how / "checkpoints").iterdir() if path.name.isdigit())
        assert len(kept) == 2
        newest = tmp_path / how / "checkpoints" / str(kept[-1])
        arrays = max(
            (path for path in (newest / "state").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
        )
        if how == "deleted":
            arrays.unlink()
        else:
            os.truncate(arrays, arrays.stat().st_size // 2 if how == "truncated" else 0)
        again = run(tmp_path, "focalmix", *FLAGS, f"--workdir={how}")
        assert again.returncode == 0, again.stderr
        assert f"checkpoints/{kept[-1]}: a damaged checkpoint" in again.stderr
        assert f"passed over for step {kept[0]}" in again.stderr
        assert f"resumed at step {kept[0]} of 24" in again.stdout
        assert not any(
            each.difference for each in compare_runs(phantom.get_config(), tmp_path / "whole", tmp_path / how)
        )
