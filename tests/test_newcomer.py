"""What a newcomer's run says of the real files that it has not."""

import shutil
import subprocess
import sys
from pathlib import Path

CHECKS = """
import pytest

@pytest.mark.parametrize("name", ["a", "b"])
def test_against_a_real_scan(shared_data, name):
    raise AssertionError

def test_without():
    pass
"""


def test_one_line_says_what_was_not_checked(tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(Path(__file__).with_name("conftest.py"), tests)
    for name in ("scans", "slides"):
        (tests / f"test_{name}.py").write_text(CHECKS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.splitlines()
    line = "4 checks against real files were skipped, of: scans (2), slides (2); they need ../shared/data"
    assert said[-2] == line  # before the count of what passed
