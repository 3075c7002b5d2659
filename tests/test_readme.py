"""README's commands, run as a newcomer would run them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def run(command, folder):
    """Runs a command of the README in `folder` with this Python; installing is left to whoever runs the tests."""
    _, _, job = command.rpartition("&& ")
    job = job.replace("python -m", f"{sys.executable} -m", 1)
    return subprocess.run(job, shell=True, cwd=folder, capture_output=True, text=True, check=False)


def command_with(part):
    (found,) = [command for command in COMMANDS if part in command]
    return found.strip()


def test_every_command_is_run_here_or_is_the_test_command():
    parts = (
        *("configs/phantom.py", "pytest", "experiments.detect", "configs/luna_25.py", "experiments.evaluate"),
        *("experiments.check_data", "configs/phantom_nlst.py", "configs/own.py"),
        *("configs/phantom_sos.py", "experiments.classify", "--name=sos", "configs/lks_sos.py"),
        *("--name=gain", "experiments.reproduce"),
    )
    assert len(COMMANDS) == len(parts)
    assert all(command_with(part) for part in parts)


def test_the_test_command_is_what_ci_runs():
    extract = (ROOT / ".ci" / "run").read_text().split("<<'PY'\n")[1].split("\nPY\n")[0]
    found = subprocess.run([sys.executable, "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == command_with("pytest")


def test_nothing_is_left_to_be_filled_in():
    assert not set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", README)) - {"SLIDE_OR_FOLDER"}


def test_files_and_configs_that_the_readme_names_are_there():
    for name in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`((?:luna|lks|phantom)\w*\.py)`", README):
        assert (ROOT / "experiments" / "configs" / name).exists(), name


def test_luna16_without_luna16_says_what_to_download(tmp_path):
    done = run(command_with("configs/luna_25.py"), tmp_path)
    assert done.returncode == 2
    assert "LUNA16 is not here. Download it" in done.stderr


def test_scans_of_ones_own_that_are_not_there_are_said(tmp_path):
    done = run(command_with("configs/own.py"), tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: --config.data.manual_dir=SCANS: no such file or folder from {tmp_path}: correct it\n"


def test_the_table_of_the_phantom_is_what_its_runs_came_to(tmp_path):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    done = run(command_with("--name=gain"), tmp_path)
    assert done.returncode == 0, done.stderr
    printed = [[cell.strip() for cell in line.split("|")[2:10]] for line in done.stdout.splitlines() if " to " in line]
    of_readme = README.partition("| phantom | 0.125 ")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(of_readme) == 5
    for line in of_readme:
        assert [cell.strip() for cell in line.split("|")[2:10]] in printed


def test_lks_without_lks_says_what_to_download(tmp_path):
    done = run(command_with("configs/lks_sos.py"), tmp_path)
    assert done.returncode == 2
    assert "LKS is not here. Download it" in done.stderr


FEWER_SLIDES = """
from experiments.configs import phantom_sos


def get_config(_=""):
    config = phantom_sos.get_config()
    config.data.phantom.train, config.data.phantom.test = 120, 60
    config.steps = 300
    return config
"""
NARROW = """
from experiments.configs import phantom_sos


def get_config(_=""):
    config = phantom_sos.get_config()
    config.data.phantom.train, config.data.phantom.test = 120, 60
    config.steps = 2
    for network in ("low", "high", "policy"):
        config.model[f"{network}_features"], config.model[f"{network}_blocks"] = (4, 8), (0, 1)
    return config
"""


@pytest.mark.slow
def test_sos_then_slides_then_all_methods(tmp_path):
    """SOS on half the phantom's slides in a third of the steps; its classifier on test slides; a part of the table.

    Configs of the working directory come before ours, so the commands are README's own.
    """
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "phantom_sos.py").write_text(FEWER_SLIDES)
    done = run(command_with("configs/phantom_sos.py"), tmp_path)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("SOS "))
    assert 60 < float(row.split()[1]) <= 100
    # The slides that show their class at full resolution only are sent there, and more often than others.
    line = next(line for line in done.stdout.splitlines() if line.startswith("SOS: ") and "precision" in line)
    precision, by_chance, recall = map(float, re.search(r"on (\S+) \(at random (\S+)\), recall (\S+)", line).groups())
    assert precision > 1.1 * by_chance
    assert recall > 0.6
    for picture in ("confusion.png", "switch.png"):
        assert (tmp_path / "runs/phantom_sos" / picture).stat().st_size > 10_000

    slides = tmp_path / "data/phantom_lks/LKS/Test"
    done = run(command_with("experiments.classify").replace("SLIDE_OR_FOLDER", str(slides)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "classes/results.csv").read_text().splitlines()) == 1 + 60

    (configs / "phantom_sos.py").write_text(NARROW)
    part = " --draws=0 --rows=image,multiscale,sos,cascade"
    done = run(command_with("--name=sos") + part, tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(f"\n| {name} " in done.stdout for name in ("Image-Level", "Multi-Scale", "SOS", "Cascade"))
    assert "- runs: 4 of 50" in done.stdout
    assert "- seconds: in turn on up to 120 slides, draw 0" in done.stdout


@pytest.mark.slow
def test_the_main_job_then_all_that_builds_on_it(tmp_path):
    """Main job; a detector on a scan; the run again; its marks scored; its data checked; NLST's scans beside it."""
    done = run(command_with("configs/phantom.py"), tmp_path)
    assert done.returncode == 0, done.stderr
    table = next(line for line in done.stdout.splitlines() if line.startswith("10 labelled + 48 unlabelled"))
    assert 0.2 < float(table.split()[-4]) < 1
    assert (tmp_path / "runs/phantom/froc.png").stat().st_size > 10_000
    assert "<article>" in (tmp_path / "runs/phantom/mistakes.html").read_text()

    scan = next((tmp_path / "data/phantom/LUNA16/subset6").glob("*.mhd"))
    done = run(command_with("experiments.detect").replace("SCAN", str(scan)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "found/detections.html").exists()

    done = run(command_with("experiments.reproduce") + " --steps=100", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 steps compared, all equal; not to the run's end" in done.stdout

    phantom = tmp_path / "data/phantom/LUNA16"
    luna16 = tmp_path / "data/LUNA16"
    (luna16 / "evaluationScript/annotations").mkdir(parents=True)
    for path in phantom.iterdir():
        (luna16 / path.name).symlink_to(path)
    shutil.copy(phantom / "annotations_excluded.csv", luna16 / "evaluationScript/annotations")
    (tmp_path / "runs/luna_25").symlink_to(tmp_path / "runs/phantom")
    done = run(command_with("experiments.evaluate"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "score/froc.json").read_text() == (tmp_path / "runs/phantom/froc.json").read_text()

    done = run(command_with("experiments.check_data"), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Training can start; no defect was found." in done.stdout
    assert (tmp_path / "check/check.html").stat().st_size > 10_000

    short = " --config.steps=4 --config.data.extra.phantom.patients=2 '--config.split.test_subsets=(9,)'"
    done = run(command_with("configs/phantom_nlst.py") + short, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "10 labelled + 4 unlabelled" in done.stdout
