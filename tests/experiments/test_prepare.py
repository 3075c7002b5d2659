"""The command as a user starts it."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile


def test_says_in_one_line_what_to_download(tmp_path):
    command = [sys.executable, "-m", "experiments.prepare", f"--manual_dir={tmp_path}", f"--data_dir={tmp_path}/data"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(
        f"error: {tmp_path}: LUNA16 is not here. Download it from luna16.grand-challenge.org"
    )
    assert "--dataset=luna16 --manual_dir=" in result.stderr


def prepare(*flags):
    command = [sys.executable, "-m", "experiments.prepare", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_lks_with_a_layout_of_its_own(tmp_path):
    for split in ("Train", "Test"):
        (tmp_path / split).mkdir()
        (tmp_path / f"{split}_Labels.csv").write_text("name,class\na.tif,Neg\nb.tif,AMA\n")
        for name in "ab":
            tifffile.imwrite(tmp_path / split / f"{name}.tif", np.full((40, 40), 9, np.uint8))
    flags = ["--dataset=lks", f"--manual_dir={tmp_path}", f"--data_dir={tmp_path}/data", "--workers=1"]
    result = prepare(*flags, "--grid=2", "--patch_side=20", "--shrink=5")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{tmp_path}/data: LksSource(fingerprint=")
    assert result.stdout.endswith("train=2, test=2)\n")
    again = prepare(*flags)
    assert again.returncode == 2
    assert "(grid: 2, now 40; patch_side: 20, now 1000; shrink: 5, now 40)" in again.stderr
    assert again.stderr.count("\n") == 1


def test_lks_that_is_not_there(tmp_path):
    result = prepare("--dataset=lks", f"--manual_dir={tmp_path}", f"--data_dir={tmp_path}/data")
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {tmp_path}: LKS is not here. Download it")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("data_set", "flag", "owners"),
    [
        ("luna16", "--grid=3", "lks"),
        ("luna16", "--min_slices=9", "nlst"),
        ("lks", "--labels=a.csv", "folder"),
        ("lks", "--allow_absent", "luna16 or nlst or folder"),
    ],
)
def test_a_flag_of_another_data_set(tmp_path, data_set, flag, owners):
    result = prepare(f"--dataset={data_set}", f"--manual_dir={tmp_path}", f"--data_dir={tmp_path}/data", flag)
    assert result.returncode == 2
    name = flag.partition("=")[0]
    assert result.stderr == f"error: {name}: is for --dataset={owners}, found --dataset={data_set}: leave it out\n"
