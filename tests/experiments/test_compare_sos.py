"""What cannot be compared is said before anything is trained: one line that names the config."""

import subprocess
import sys

import pytest

OTHER = """
from experiments.configs import phantom_{method}


def get_config():
    config = phantom_{method}.get_config()
    config.update_from_flattened_dict({changes})
    return config
"""


def refused(folder, *flags):
    command = [sys.executable, "-m", "experiments.compare_sos", "--workdir=runs", *flags]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert not (folder / "runs").exists()
    assert not (folder / "data").exists()
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ("", "--configs: found none"),
        ("configs/phantom_sos.py,configs/phantom_sos.py", "expected each name and seed once"),
        (
            "configs/phantom_sos.py,configs/phantom.py",
            "configs/phantom.py: config field command is experiments.focalmix",
        ),
    ],
)
def test_configs_that_are_no_methods_of_sos(tmp_path, configs, message):
    line = refused(tmp_path, f"--configs={configs}")
    assert message in line
    if "phantom.py" in configs:
        assert "experiments.sos" in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inference.patch_batch": 7},
            "other.py: inference.patch_batch is 7, expected 64 as in configs/phantom_sos.py",
        ),
        ({"split.validation_share": 0.5}, "other.py: split.validation_share is 0.5, expected 0.15"),
        ({"data.grid": 4}, "other.py: data.grid is 4, expected 8"),
        ({"steps": 0}, "other.py: config field steps is 0"),
    ],
)
def test_configs_whose_tables_would_mislead(tmp_path, changes, message):
    (tmp_path / "other.py").write_text(OTHER.format(method="image", changes=changes))
    assert message in refused(tmp_path, "--configs=configs/phantom_sos.py,other.py")
