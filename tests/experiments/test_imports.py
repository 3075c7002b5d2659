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
START = """
import runpy, sys

del sys.argv[0]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print("imported:", *sys.modules)
"""


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"command", "entry"}))
def test_help_and_the_parsing_of_flags_need_no_heavy_library(name):
    done = subprocess.run(
        [sys.executable, "-c", START, f"experiments.{name}", "--help"], capture_output=True, text=True, check=True
    )
    page, _, imported = done.stdout.rpartition("imported: ")
    assert "--help: this page" in page
    assert HEAVY & {*imported.split()} == set()


OUT = "--output=out"
OWN = ["focalmix", "--config=configs/own.py", "--workdir=w"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["detect", "scan.nii", OUT], "unexpected argument 'scan.nii': did you mean --input=scan.nii?"),
        (["detect", "--input=scn.nii", OUT], "--input=scn.nii: no such file or folder, did you mean scan.nii?"),
        (["detect", "--input=scan.nii", "--lungs=/x", OUT], "--lungs=/x: no such file or folder: correct it"),
        (
            ["detect", f"--input={'x' * 300}", OUT],
            "cannot be looked at (File name too long), expected",
        ),
        (["detect", "--input=scan.nii/x", OUT], "--input=scan.nii/x: no such file or folder from "),
        (["detect", "--input=scan.nii", "--checkpoint=x", OUT], "x: no such folder, expected the --workdir of a"),
        (["detect", "--input=scan.nii", "--formats=sr,x", OUT], "--formats: found 'x', expected some of csv,json,"),
        (["classify", "--input=x", "--checkpoint=.", OUT], "--input=x: no such file or folder from "),
        (["classify", "--input=.", "--checkpoint=x", OUT], "x: no such folder, expected the --workdir of a"),
        (["export", "--checkpoint=x.safetensors", "--output=y"], "x.safetensors: no such file, expected weights"),
        (["focalmix", "configs/own.py", "--workdir=w"], "did you mean --config=configs/own.py?"),
        ([*OWN, "--config.data.manual_dir=CTs"], "--config.data.manual_dir=CTs: no such file or folder from "),
        ([*OWN, "--config.data.manual_dir=.", "--config.data.options.labels=scan.csv"], ", did you mean scan.nii?"),
        (["sos", "--config=configs/lks_sos.py", "--workdir=w", "--config.data.manual_dir=x"], "manual_dir=x: no such"),
        (["prepare", "--dataset=folder", "--manual_dir=x", "--data_dir=y", "--labels=z"], "--labels=z: no such file"),
        (["evaluate", "--seed", "3", "x", OUT], "unexpected argument 'x': options are --name=value"),
    ],
)
def test_a_wrong_path_is_refused_before_anything_heavy_is_imported_or_written(tmp_path, words, told):
    (tmp_path / "scan.nii").touch()
    name, *flags = words
    command = [sys.executable, "-c", START, f"experiments.{name}", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert HEAVY & {*done.stdout.rpartition("imported: ")[2].split()} == set()
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]
