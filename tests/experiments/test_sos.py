"""The commands of SOS as a user starts them: one line where data or files are wrong, six methods in one table."""

import json
import subprocess
import sys

import pytest


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
    ],
)
def test_a_config_of_another_command_is_refused(tmp_path, module, flag):
    message = one_line_error(run(tmp_path, module, flag, "--workdir=run"))
    assert "config field command is experiments." in message
    assert f"expected experiments.{module}: give a config of it" in message


def test_classify_without_a_run_says_so(tmp_path):
    (tmp_path / "slide.tif").write_bytes(b"II*\0")
    flags = ("--checkpoint=absent", "--input=slide.tif", "--output=out")
    assert "absent: no such folder, expected the --workdir" in one_line_error(run(tmp_path, "classify", *flags))


@pytest.mark.slow
def test_six_methods_in_one_table_then_slides_of_a_folder(tmp_path, write_small_sos):
    """Two draws, timed in turn, kept when started again; then one bad slide among good ones stops none of them."""
    (tmp_path / "configs").mkdir()
    write_small_sos(tmp_path / "configs/phantom_sos.py")
    rows = ("image", "patch", "multiscale", "rdms", "sos", "cascade")
    flags = (f"--rows={','.join(rows)}", "--draws=0,1", "--seconds=4", "--workdir=runs")
    flags = ("--name=sos", "--data=slide_phantom", *flags)
    done = run(tmp_path, "table", *flags)
    assert done.returncode == 0, done.stderr
    for name in ("Image-Level", "Patch-Level", "Multi-Scale", "RDMS", "SOS", "Cascade"):
        assert any(line.startswith(f"| {name} ") for line in done.stdout.splitlines()), name
    assert "- runs: 12 of 50" in done.stdout
    assert (tmp_path / "runs/sos_slide_phantom.md").read_text() in done.stdout
    trained = {path: json.loads(path.read_text()) for path in (tmp_path / "runs/runs").glob("*/run/config.json")}
    assert len(trained) == 10  # the cascade shares Multi-Scale's
    seconds = json.loads((tmp_path / "runs/results/seconds/sos-slide_phantom.json").read_text())
    assert seconds["rows"].keys() == {*rows}
    results = {path: path.read_bytes() for path in (tmp_path / "runs/results").glob("[!.]*.json")}
    assert len(results) == 12

    again = run(tmp_path, "table", *flags[:-2], "--workdir=runs")
    assert again.returncode == 0, again.stderr
    assert " minutes, " not in again.stdout
    assert {path: path.read_bytes() for path in results} == results
    assert (tmp_path / "runs/sos_slide_phantom.md").read_text() in done.stdout

    slides = tmp_path / "data/phantom_lks/LKS/Test"
    (slides / "broken.tif").write_bytes(b"not a TIFF")
    (of_sos, *_) = [path.parent for path, config in trained.items() if config["method"]["name"] == "SOS"]
    done = run(tmp_path, "classify", f"--checkpoint={of_sos}", f"--input={slides}", "--output=out")
    assert "1 of 9 slides could not be read" in one_line_error(done)
    assert len((tmp_path / "out/results.csv").read_text().splitlines()) == 1 + 8
    assert "broken.tif" in json.loads((tmp_path / "out/results.json").read_text())["refused"]
    assert (tmp_path / "out/slides.html").stat().st_size > 20_000
