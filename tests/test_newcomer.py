"""What a run says at its end: of the real files that a newcomer has not, and of the inputs that its fuzzers tried."""

import shutil
import subprocess
import sys
from pathlib import Path

CHECKS = """
import pytest

@pytest.mark.parametrize("name", ["a", "b"])
def test_against_a_real_scan(shared_data, name):
    raise AssertionError

def test_without(record_property):
    record_property("fuzzed inputs", 20)
"""


def test_one_line_says_what_was_not_checked_and_one_what_was_tried(tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(Path(__file__).with_name("conftest.py"), tests)
    for name in ("scans", "slides"):
        (tests / f"test_{name}.py").write_text(CHECKS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.splitlines()
    assert said[-3:-1] == [  # before the count of what passed
        "4 checks against real files were skipped, of: scans (2), slides (2); they need ../shared/data",
        "40 mutated inputs were tried by the fuzzers",
    ]
