"""The comparison of configs: one table of means over seeds, and differences to the first."""

import subprocess
import sys

import pytest

TINY = """
from experiments.configs import phantom


def get_config():
    config = phantom.get_config()
    config.steps = 8
    config.data.phantom.update(scans=12, chest_zyx_mm=(64.0, 64.0, 64.0))
    config.split.update(labelled=3, unlabelled={unlabelled})
    config.patches.unlabelled_batch = {unlabelled}
    config.logging.update(log_every=4, save_every=8, bootstraps=20)
    return config
"""


def compare(folder, *flags):
    command = [sys.executable, "-m", "experiments.compare", "--workdir=runs", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_config_given_twice_is_refused(tmp_path):
    done = compare(tmp_path, "--configs=configs/phantom.py,configs/phantom.py")
    assert done.returncode == 2
    assert "expected each name and seed once" in done.stderr


def test_no_config_is_refused(tmp_path):
    done = compare(tmp_path, "--configs=")
    assert done.returncode == 2
    assert done.stderr == "error: --configs=: expected configs, with a comma between two\n"


@pytest.mark.slow
def test_the_table_has_means_seeds_and_the_difference(tmp_path):
    (tmp_path / "supervised.py").write_text(TINY.format(unlabelled=0))
    (tmp_path / "method.py").write_text(TINY.format(unlabelled=3))
    flags = ("--configs=supervised.py,method.py", "--seed=0", "--seed=1")
    done = compare(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "runs" / "table.md").read_text()
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    expected = ["supervised", "method", *(f"{name}, seed {seed}" for name in ("supervised", "method") for seed in "01")]
    assert rows == expected
    assert "method - supervised: CPM " in table
    assert table in done.stdout
    # Started again, it finds every run finished and prints the same table.
    again = compare(tmp_path, *flags)
    assert again.stdout.count("resumed at step 8 of 8") == 4
    assert table in again.stdout
