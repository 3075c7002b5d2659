"""Two processes train together: what one of them suffers, the other hears of, and nothing is lost."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from experiments.configs import phantom
from medssl_jax.runs.equality import compare_runs
from medssl_jax.train.fingerprints import read_fingerprints

SMALL = (
    "--config.steps=24",
    "--config.data.phantom.scans=12",
    "--config.data.phantom.chest_zyx_mm=(64.0,64.0,64.0)",
    "--config.split.labelled=3",
    "--config.split.unlabelled=3",
    "--config.inference.overlap=0",
    "--config.logging.log_every=2",
    "--config.logging.save_every=6",
    "--config.logging.bootstraps=20",
)


COMMAND = [sys.executable, "-m", "experiments.focalmix", "--config=configs/phantom.py", *SMALL]


def start(folder, workdir):
    """Two processes of two virtual devices each."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    return [
        subprocess.Popen(
            [*COMMAND, f"--workdir={workdir}"],
            cwd=folder,
            env=os.environ
            | {
                "JAX_NUM_CPU_DEVICES": "2",
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": str(index),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


def finish(processes):
    """Status, stdout and stderr of each."""
    said = [process.communicate(timeout=600) for process in processes]
    return [(process.returncode, *both) for process, both in zip(processes, said, strict=True)]


def wait_for_step(workdir, step, processes):
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 400
    while not (metrics.exists() and f'{{"step": {step},' in metrics.read_text()):
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    done = finish(start(folder, "whole"))
    assert [status for status, _, _ in done] == [0, 0], done
    assert "24/24" in done[0][1]
    assert "step" not in done[1][1], "only the first process speaks"
    return folder / "whole"


def assert_same(whole, other):
    compared = compare_runs(phantom.get_config(), whole, other)
    assert len(compared) > 5
    assert all(each.difference is None for each in compared), compared


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_one_is_killed_the_other_ends_and_both_go_on(whole, victim):
    processes = start(whole.parent, f"killed{victim}")
    workdir = whole.parent / f"killed{victim}"
    wait_for_step(workdir, 10, processes)
    processes[victim].kill()
    began = time.monotonic()
    _, said = processes[1 - victim].communicate(timeout=60)
    print(f"the other process ended after {time.monotonic() - began:.1f} s")
    assert processes[1 - victim].returncode != 0
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"error: process {1 - victim} of 2 was ended, because another process of this run died")
    processes[victim].communicate()
    again = finish(start(whole.parent, workdir.name))
    assert [status for status, _, _ in again] == [0, 0], again
    assert re.search(r"resumed at step (6|12|18) of 24", again[0][1])
    assert_same(whole, workdir)


@pytest.mark.slow
def test_a_notice_to_one_stops_both_after_the_same_step_and_one_device_goes_on_too(whole):
    processes = start(whole.parent, "notice")
    workdir = whole.parent / "notice"
    wait_for_step(workdir, 10, processes)
    processes[1].send_signal(signal.SIGTERM)
    stopped = finish(processes)
    assert [status for status, _, _ in stopped] == [75, 75], stopped
    steps = {re.search(r"stopped by SIGTERM after step (\d+) of 24", said)[1] for _, _, said in stopped}
    assert len(steps) == 1
    assert (workdir / "checkpoints" / steps.pop()).is_dir()
    shutil.copytree(workdir, whole.parent / "moved")
    again = finish(start(whole.parent, "notice"))
    assert [status for status, _, _ in again] == [0, 0], again
    assert_same(whole, workdir)

    alone = [*COMMAND, "--workdir=moved"]
    done = subprocess.run(alone, cwd=whole.parent, check=True, capture_output=True, text=True)
    assert "devices.count: 4 then, 1 now" in done.stdout
    assert "the same batches, and results equal to rounding, not to the bit" in done.stdout
    ours, theirs = (read_fingerprints(folder) for folder in (whole.parent / "moved", whole))
    assert ours.keys() == theirs.keys()
    assert all(ours[step].batch == theirs[step].batch for step in theirs)
