"""The command as a user starts it, on a LUNA16 that is not there."""

import subprocess
import sys


def test_says_in_one_line_what_to_download(tmp_path):
    command = [sys.executable, "-m", "experiments.prepare", f"--manual_dir={tmp_path}", f"--data_dir={tmp_path}/data"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(
        f"error: {tmp_path}: LUNA16 is not here. Download it from luna16.grand-challenge.org"
    )
    assert "--dataset=luna16 --manual_dir=" in result.stderr
