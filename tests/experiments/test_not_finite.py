"""A loss that explodes ends the command with one line that names where; what was learnt before stays."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FLAGS = (
    f"--config={Path(__file__).with_name('small_phantom.py')}",
    "--config.steps=12",
    "--config.logging.log_every=1",
    "--config.logging.save_every=1",
)


def focalmix(folder, *flags):
    command = [sys.executable, "-m", "experiments.focalmix", *FLAGS, *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def files_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_exploding_loss(tmp_path):
    # What weights are multiplied with at each step: 1 - 100 x 100.
    too_fast = ("--config.optimiser.learning_rate=100", "--config.optimiser.weight_decay=100")
    done = focalmix(tmp_path, "--workdir=exploded", *too_fast)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    found = re.search(r"not finite at step (\d+) \((.*?)\): .*the last checkpoint is untouched", line)
    step, parts = int(found[1]), found[2]
    assert re.search(r"(nan|inf)", parts)
    for part in ("loss ", "loss_class ", "loss_box "):
        assert part in parts

    # The batch that is kept is the one that the line names, row by row.
    exploded = tmp_path / "exploded"
    split = json.loads((exploded / "split.json").read_text())
    with np.load(exploded / f"not_finite_step{step}.npz") as batch:
        for part in ("labelled", "unlabelled"):
            (rows,) = re.findall(rf"\b{part}: ([^;)]*)", line)
            assert set(rows.split(", ")) <= set(split[part])
            (window,) = [batch[name] for name in batch if name.startswith(f"{part}.") and batch[name].ndim == 4]
            assert len(window) == len(rows.split(", "))
            assert np.isfinite(window).all()  # the rate was at fault, not the data

    checkpoints = files_below(exploded / "checkpoints")
    assert {path.relative_to(exploded).parts[1] for path in checkpoints} >= {str(step - 1)}
    again = focalmix(tmp_path, "--workdir=exploded", *too_fast)
    assert again.returncode == 2
    assert f"resumed at step {step - 1} of 12" in again.stdout
    assert line in again.stderr
    assert files_below(exploded / "checkpoints") == checkpoints

    # Another rate is another run: refused there, and well in a folder of its own.
    slower = focalmix(tmp_path, "--workdir=exploded", "--config.optimiser.learning_rate=1e-3")
    assert slower.returncode == 2
    assert "started with optimiser.learning_rate = 100.0, now it is 0.001: choose another --workdir" in slower.stderr
    assert focalmix(tmp_path, "--workdir=well", "--config.optimiser.learning_rate=1e-3").returncode == 0
    assert (tmp_path / "well" / "froc.json").exists()
