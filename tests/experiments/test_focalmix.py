"""The training command: bad input in one line; killed in the middle, it ends in the same bits."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.configs import phantom
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.inference.trained_detector import load_detector

SMALL = Path(__file__).with_name("small_phantom.py")


def command(*flags, config="configs/phantom.py"):
    return [sys.executable, "-m", "experiments.focalmix", f"--config={config}", *flags]


def one_line_error(folder, *flags, config="configs/phantom.py"):
    """What the command says of bad input: one line, status 2, no traceback."""
    done = subprocess.run(command(*flags, config=config), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    return lines[0]


def test_luna16_not_on_disk(tmp_path):
    message = one_line_error(tmp_path, "--workdir=w", config="configs/luna_25.py")
    for part in ("data/LUNA16", "luna16.grand-challenge.org", "subset0.zip", "seg-lungs-LUNA16", "python -m "):
        assert part in message


def test_a_missing_config(tmp_path):
    message = one_line_error(tmp_path, "--workdir=w", config="configs/phantm.py")
    assert "no such file" in message
    assert "did you mean configs/phantom" in message


def test_a_wrong_field(tmp_path):
    assert "did you mean loss.gamma?" in one_line_error(tmp_path, "--workdir=w", "--config.loss.gama=2")


def test_a_config_of_the_working_directory_comes_first(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "phantom.py").write_text(
        "from experiments.configs import phantom\n\n\ndef get_config():\n"
        "    config = phantom.get_config()\n    config.steps = 0\n    return config\n"
    )
    assert "config field steps is 0, expected 1 or more" in one_line_error(tmp_path, "--workdir=w")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("loss.gamma", 0.5, r"loss\.gamma is 0\.5, expected 0, or 1 or more, at most 100"),
        ("ssl.temperature", 0.0, r"ssl\.temperature is 0\.0, expected more than 0"),
        ("ssl.views", 9, r"ssl\.views is 9, expected 1 to 8"),
        ("ssl.views_at_once", 3, r"ssl\.views_at_once is 3, expected a divisor of ssl\.views, 4"),
        ("ssl.view_group", "rotations", r"ssl\.view_group is rotations, expected flips or cube"),
        ("patches.side", 50, r"patches\.side is 50, expected a multiple of the backbone's last stride 16"),
        ("patches.unlabelled_batch", 0, r"patches\.unlabelled_batch is 0, expected 0 just where split\.unlabelled"),
        ("logging.save_every", 75, r"logging\.save_every is 75, expected a multiple of log_every"),
    ],
)
def test_values_that_cannot_be(field, value, message):
    config = phantom.get_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=message):
        settings_from(FocalMixConfig, config)


def test_the_supervised_twin_differs_in_nothing_but_the_unlabelled_scans():
    from experiments.configs import luna_25, luna_25_supervised, phantom_supervised

    for method, twin in ((phantom, phantom_supervised), (luna_25, luna_25_supervised)):
        ours, theirs = (json.loads(each.get_config().to_json()) for each in (method, twin))
        ours["split"]["unlabelled"] = ours["patches"]["unlabelled_batch"] = 0
        assert ours == theirs


LONG_ENOUGH = ("--config.steps=64", "--config.logging.log_every=4", "--config.logging.save_every=16")


def interrupted(folder, after_step, signal_number):
    """Sends a signal when the metrics of a step are written; exit status and what was said on stderr."""
    metrics = folder / "cut" / "metrics.jsonl"
    process = subprocess.Popen(
        command(*LONG_ENOUGH, "--workdir=cut", config=SMALL),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not (metrics.exists() and f'{{"step": {after_step},' in metrics.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal_number)
    said = process.communicate()[1]
    return process.returncode, said


@pytest.mark.slow
def test_interrupted_twice_it_ends_in_the_same_bits(tmp_path):
    """SIGTERM, then SIGKILL between two checkpoints, then the same command again: all that is written is equal."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command(*LONG_ENOUGH, "--workdir=whole", config=SMALL), cwd=tmp_path, check=True, **quiet)

    status, said = interrupted(tmp_path, 4, signal.SIGTERM)
    assert status == 75, said
    assert re.search(r"stopped by SIGTERM after step \d+ of 64, which is saved: start it again to go on", said)
    status, said = interrupted(tmp_path, 28, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert not (tmp_path / "cut" / "froc.json").exists()
    finishing = command(*LONG_ENOUGH, "--workdir=cut", config=SMALL)
    again = subprocess.run(finishing, cwd=tmp_path, check=True, capture_output=True, text=True)
    # The signal may come after the next checkpoint.
    assert re.search(r"resumed at step (16|32|48) of 64", again.stdout)

    whole, cut = (load_detector(tmp_path / name) for name in ("whole", "cut"))
    assert whole.step == cut.step == 64
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(cut.params), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("metrics.jsonl", "submission.csv", "split.json", "froc.json", "mistakes.html"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


@pytest.mark.slow
def test_unlabelled_nlst_beside_labelled_luna16(tmp_path):
    flags = ("--config.split.unlabelled=0", "--config.steps=8", "--config.logging.log_every=2")
    nlst = ("--config.data.extra.phantom.patients=3", "--config.data.extra.phantom.chest_zyx_mm=(80.0,64.0,64.0)")
    done = subprocess.run(
        command(*flags, *nlst, "--workdir=run", config=f"{SMALL}:phantom_nlst"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert len(split["labelled"]) == 3
    assert len(split["unlabelled"]) == 6
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(logged) == 4
    assert all(np.isfinite(line["loss_class_unlabelled"]) for line in logged)
    assert "3 labelled + 6 unlabelled" in done.stdout
    assert "Mistakes of 3 labelled + 6 unlabelled" in (tmp_path / "run" / "mistakes.html").read_text()


@pytest.mark.slow
def test_a_folder_and_a_table_of_a_user(tmp_path):
    """The phantom's files as a user would have them: the split, the batch and the folders are chosen, not the network.

    Of that and the steps there are fewer than would be chosen, and fewer scans validate. Started again, the run goes by
    what it chose.
    """
    from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom

    write_luna16_phantom(Luna16Phantom(seed=1, scans=12, chest_zyx_mm=(64.0,) * 3), tmp_path / "phantom")
    scans = tmp_path / "scans"
    scans.mkdir()
    for path in (tmp_path / "phantom").glob("subset*/*"):
        path.rename(scans / path.name)
    uids = (tmp_path / "phantom" / "seriesuids.csv").read_text().split()
    rows = (tmp_path / "phantom" / "annotations.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(row for row in rows if not row.startswith(tuple(uids[8:]))))
    shutil.copy(SMALL, tmp_path)
    (tmp_path / "mine.py").write_text(
        "import small_phantom\nfrom experiments.configs import own\n\n\ndef get_config(_=''):\n"
        "    own.FEWEST_VALIDATED = 1\n    config, small = own.get_config(), small_phantom.get_config()\n"
        "    for section in ('model', 'anchors'):\n        config[section].update(small[section])\n"
        "    config.logging.update({'bootstraps': 20, 'save_every': 4, 'log_every': 4})\n    return config\n"
    )
    flags = ["--config.data.manual_dir=scans", "--config.data.options.labels=labels.csv", "--config.steps=8"]
    start = command(*flags, "--workdir=run", config="mine.py")
    done = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    labelled = {row.partition(",")[0] for row in (tmp_path / "labels.csv").read_text().splitlines()[1:]}
    assert {*split["labelled"], *split["validation"], *split["test"]} == labelled
    assert split["validation"]
    assert {*split["unlabelled"]} == {*uids} - labelled
    assert len(split["test"]) >= 0.2 * len(labelled)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["patches"]["labelled_batch"], config["patches"]["unlabelled_batch"]) == (4, 4)
    assert config["data"]["cache_dir"] == "run/prepared/cache"
    reasons = json.loads((tmp_path / "run" / "choice.json").read_text())["reasons"]
    assert all(reason in done.stdout for reason in reasons)
    assert (tmp_path / "run" / "froc.png").stat().st_size > 0
    points = load_detector(tmp_path / "run").experience.points
    assert (points.data, points.step, points.scans) == ("a folder of scans", 8, len(split["validation"]))
    again = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "compiling a step" not in again.stdout
    assert all(reason in again.stdout for reason in reasons)
