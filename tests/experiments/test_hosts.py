"""Two processes train together: what one of them suffers, the other hears of, and nothing is lost."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.configs import phantom
from medssl_jax.run_folder.tensor_hashes import read_hashes

SMALL = (
    f"--config={Path(__file__).with_name('small_phantom.py')}:phantom,wide",
    "--config.steps=24",
    "--config.logging.log_every=2",
    "--config.logging.save_every=4",
    "--config.split.validation=1",
    "--config.validation.every=8",
)

COMMAND = [sys.executable, "-m", "experiments.focalmix", *SMALL]


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


@pytest.mark.slow
def test_whatever_befalls_one_of_them_the_run_ends_in_the_same_bits(tmp_path, differences_of_runs):
    """One process is killed, then the other, then one gets SIGTERM; at last both are left alone, or one device is."""
    done = finish(start(tmp_path, "whole"))
    assert [status for status, _, _ in done] == [0, 0], done
    assert "24/24" in done[0][1]
    assert "step" not in done[1][1], "only the first process speaks"

    workdir = tmp_path / "cut"
    for victim, step in ((1, 6), (0, 12)):
        processes = start(tmp_path, "cut")
        wait_for_step(workdir, step, processes)
        processes[victim].kill()
        began = time.monotonic()
        _, said = processes[1 - victim].communicate(timeout=60)
        print(f"the other process ended after {time.monotonic() - began:.1f} s")
        assert processes[1 - victim].returncode != 0
        last = said.strip().splitlines()[-1]
        assert last.startswith(f"error: process {1 - victim} of 2 was ended, because another process of this run died")
        processes[victim].communicate()

    processes = start(tmp_path, "cut")
    wait_for_step(workdir, 16, processes)
    processes[1].send_signal(signal.SIGTERM)
    stopped = finish(processes)
    assert [status for status, _, _ in stopped] == [75, 75], stopped
    steps = {re.search(r"stopped by SIGTERM after step (\d+) of 24", said)[1] for _, _, said in stopped}
    assert len(steps) == 1
    (step,) = steps
    assert re.search(r"resumed at step (4|8|12) of 24", stopped[0][1])
    assert (workdir / "checkpoints" / step).is_dir()
    shutil.copytree(workdir, tmp_path / "moved")

    again = finish(start(tmp_path, "cut"))
    assert [status for status, _, _ in again] == [0, 0], again
    assert f"resumed at step {step} of 24" in again[0][1]
    for written in ("validation.json", "operating_points.json", "operating_points_on_test.json"):
        found = [(tmp_path / name / written).read_text() for name in ("whole", "cut")]
        assert found[0] == found[1]
    compared = differences_of_runs(phantom.get_config(), tmp_path / "whole", workdir)
    assert len(compared) > 5
    assert not any(compared.values()), compared

    alone = subprocess.run([*COMMAND, "--workdir=moved"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "devices.count: 4 then, 1 now" in alone.stdout
    assert "the same batches, and results equal to rounding, not to the bit" in alone.stdout
    ours, theirs = (read_hashes(tmp_path / name) for name in ("moved", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(ours[step].batch == theirs[step].batch for step in theirs)
