"""No command waits for a library before it needs it."""

import subprocess
import sys
from pathlib import Path

import pytest

import experiments

COMMANDS = [path.stem for path in Path(experiments.__file__).parent.glob("*.py") if "__main__" in path.read_text()]
HEAVY = {
    *("jax", "SimpleITK", "tensorflow_datasets", "matplotlib", "scipy", "orbax", "grain"),
    "medssl_jax.phantoms.slides.render",
}
HELP = """
import runpy, sys

sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print("imported:", *sys.modules)
"""


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"command", "entry"}))
def test_help_and_the_parsing_of_flags_need_no_heavy_library(name):
    done = subprocess.run(
        [sys.executable, "-c", HELP, f"experiments.{name}"], capture_output=True, text=True, check=True
    )
    page, _, imported = done.stdout.rpartition("imported: ")
    assert "--help: this page" in page
    assert HEAVY & {*imported.split()} == set()
