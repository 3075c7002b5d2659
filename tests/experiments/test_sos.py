"""The commands of SOS as a user starts them: one line where data or files are wrong, all six methods in one table."""

import json
import subprocess
import sys

import pytest

METHODS = ("image", "patch", "multiscale", "rdms", "sos", "cascade")


def run(folder, module, *flags):
    command = [sys.executable, "-m", f"experiments.{module}", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def one_line_error(done):
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return line


@pytest.mark.parametrize(
    ("module", "flag"),
    [
        ("sos", "--config=configs/phantom.py"),
        ("focalmix", "--config=configs/phantom_sos.py"),
        ("compare_sos", "--configs=configs/phantom_sos.py,configs/phantom.py"),
    ],
)
def test_a_config_of_another_command_is_refused(tmp_path, module, flag):
    message = one_line_error(run(tmp_path, module, flag, "--workdir=run"))
    assert "config field command is experiments." in message
    assert f"expected experiments.{module.removeprefix('compare_')}: give a config of it" in message


def test_classify_without_a_run_says_so(tmp_path):
    (tmp_path / "slide.tif").write_bytes(b"II*\0")
    flags = ("--checkpoint=absent", "--input=slide.tif", "--output=out")
    assert "absent: no such folder, expected the --workdir" in one_line_error(run(tmp_path, "classify", *flags))


@pytest.mark.slow
def test_six_methods_in_one_run_then_slides_of_a_folder(tmp_path, write_small_sos):
    """Two seeds, kept when started again; then one bad slide among good ones stops none of them."""
    for method in METHODS:
        write_small_sos(tmp_path / f"{method}.py", method=method)
    flags = (f"--configs={','.join(f'{method}.py' for method in METHODS)}", "--seed=0", "--seed=1", "--workdir=runs")
    done = run(tmp_path, "compare_sos", *flags)
    assert done.returncode == 0, done.stderr
    for name in ("Image-Level", "Patch-Level", "Multi-Scale", "RDMS", "SOS", "Cascade"):
        assert any(line.startswith(f"| {name} ") for line in done.stdout.splitlines()), name
    assert "which the data above is not" in done.stdout  # the paper's tables, under a heading of their own
    assert not (tmp_path / "runs/cascade_seed0").exists()  # it shares Multi-Scale's training
    assert (tmp_path / "runs/table.md").read_text() in done.stdout
    results = json.loads((tmp_path / "runs/results.json").read_text())
    assert [len(runs) for runs in results["slides"].values()] == [2] * len(METHODS)

    again = run(tmp_path, "compare_sos", *flags)
    assert again.returncode == 0, again.stderr
    assert "resumed at step 4 of 4" in again.stdout
    assert json.loads((tmp_path / "runs/results.json").read_text())["slides"] == results["slides"]

    slides = tmp_path / "data/phantom_lks/LKS/Test"
    (slides / "broken.tif").write_bytes(b"not a TIFF")
    done = run(tmp_path, "classify", "--checkpoint=runs/sos_seed0", f"--input={slides}", "--output=out")
    assert "1 of 9 slides could not be read" in one_line_error(done)
    assert len((tmp_path / "out/results.csv").read_text().splitlines()) == 1 + 8
    assert "broken.tif" in json.loads((tmp_path / "out/results.json").read_text())["refused"]
    assert (tmp_path / "out/slides.html").stat().st_size > 20_000
