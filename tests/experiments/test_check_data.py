"""The command: what it prints, the page it writes, and its exit status."""

import subprocess
import sys

import pytest

from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.luna16 import write_luna16_phantom

SPEC = Luna16Phantom(scans=2, chest_zyx_mm=(64.0, 64.0, 64.0))


@pytest.fixture(scope="module")
def luna16(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    write_luna16_phantom(SPEC, folder)
    return folder


def run(*flags, cwd=None):
    command = [sys.executable, "-m", "experiments.check_data", "--workers=1", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_a_clean_one_exits_with_0_and_leaves_a_page(luna16, tmp_path):
    done = run(f"--manual_dir={luna16}", f"--output={tmp_path}", "--train_subsets=0", "--test_subsets=1")
    assert done.returncode == 0, done.stderr
    assert "Training can start; no defect was found." in done.stdout
    assert "defect:" not in done.stdout
    assert "Training can start" in (tmp_path / "check.html").read_text()


def test_what_blocks_exits_with_1(luna16, tmp_path):
    (tmp_path / "subset0").mkdir()
    (tmp_path / "seriesuids.csv").write_text("1.2.3\n")
    done = run(f"--manual_dir={tmp_path}")
    assert done.returncode == 1, done.stderr
    assert "BLOCKS: missing scan: 1.2.3: " in done.stdout
    assert "Training cannot start: " in done.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--manual_dir=nowhere"], "nowhere: LUNA16 is not here"),
        (["--manual_dir=.", "--dataset=folder"], "no scan below it"),
        (["--manual_dir=nowhere", "--labels=a.csv"], "--labels: is for --dataset=folder, found --dataset=luna16"),
        (["--manual_dir=nowhere", "--train_subsets=0,5"], "[5] are in both"),
        (["--manual_dir=nowhere", "--train_subsets=first"], "--train_subsets: found first, expected numbers"),
    ],
)
def test_what_cannot_be_checked_exits_with_2_and_one_line(flags, said, tmp_path):
    done = run(*flags, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
