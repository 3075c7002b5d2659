"""The command as a person starts it: a table and two files, or one line that says what is wrong."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.evaluate import _rates
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, write_metaimage


@pytest.fixture
def files(tmp_path):
    """Three scans, two nodules: one found, one missed, one false positive, one mark on an excluded finding."""
    contents = {
        "submission": "seriesuid,coordX,coordY,coordZ,probability\na,0,0,0,.9\nb,50,0,0,.8\nb,70,0,0,.7\n",
        "annotations": "seriesuid,coordX,coordY,coordZ,diameter_mm\na,1,0,0,6\nb,0,0,0,6\nother,0,0,0,6\n",
        "excluded": "seriesuid,coordX,coordY,coordZ,diameter_mm\nb,71,0,0,-1\n",
        "seriesuids": "a\nb\nc\n",
    }
    paths = {}
    for name, text in contents.items():
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text(text)
    return {**paths, "output": tmp_path / "result", "bootstraps": 20}


def evaluate(cwd, **flags):
    command = [sys.executable, "-m", "experiments.evaluate", *(f"--{name}={value}" for name, value in flags.items())]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_prints_the_table_and_writes_both_files(files, tmp_path):
    done = evaluate(tmp_path, **files)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "3 scans: 2 with nodules, 1 without a mark"
    assert "1 false positives, 1 on excluded findings" in lines[2]
    assert lines[4].split() == ["FP/scan", "0.125", "0.25", "0.5", "1", "2", "4", "8", "CPM"]
    assert lines[5].split() == ["sensitivity", *["0.500"] * 8]
    assert lines[6].startswith("95 % low")
    written = json.loads((files["output"] / "froc.json").read_text())
    assert (written["scans"], written["nodules"], written["cpm"]) == (3, 2, 0.5)
    assert sorted(path.name for path in files["output"].iterdir()) == ["froc.json", "froc.png"]


def write_scans(folder, *names):
    folder.mkdir()
    for name in names:
        array = np.full((20, 60, 60), -850, np.int16)
        write_metaimage(
            folder / f"{name}.mhd", Volume(array, Grid(array.shape, (2.5, 2.0, 2.0), (-30.0, -60.0, -25.0)), name)
        )


def test_of_scans_that_are_given_mistakes_are_pictured(files, tmp_path):
    write_scans(tmp_path / "scans", "a", "b", "c", "more")
    done = evaluate(tmp_path, **files, scans=tmp_path / "scans")
    assert (done.returncode, done.stderr) == (0, "")
    page = (files["output"] / "mistakes.html").read_text()
    assert page.count("<article>") == 2  # the nodule of b, and the mark beside it
    assert "6.0 mm, no mark on it" in page
    assert "Score 0.800" in page


def test_scans_that_are_not_there_are_one_line_before_anything_is_scored(files, tmp_path):
    write_scans(tmp_path / "scans", "a", "b")
    done = evaluate(tmp_path, **files, scans=tmp_path / "scans")
    assert (done.returncode, done.stdout) == (2, "")
    assert "1 of 3 listed series are not there, such as c: give the folder" in done.stderr
    assert list(files["output"].iterdir()) == []


def test_other_rates_than_luna16s_are_scored_where_asked_for(files, tmp_path):
    done = evaluate(tmp_path, **files, fps_per_scan="0.1,0.4")  # the false positive is a third of one a scan
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[4].split() == ["FP/scan", "0.1", "0.4", "CPM"]
    assert json.loads((files["output"] / "froc.json").read_text())["fps_per_scan"] == [0.1, 0.4]


@pytest.mark.parametrize("rates", ["", "1,x", "0,1", "2,1", "1,1", "nan", "1,inf"])
def test_rates_that_are_none_are_told(rates):
    with pytest.raises(InputError, match=rf"^--fps_per_scan={rates}: expected rising numbers above 0, such as"):
        _rates(rates.split(",") if rates else [])


def test_wrong_ids_are_refused_by_the_first_of_them(tmp_path, shared_data):
    folder = shared_data / "submissions" / "deepseed_fold9"
    done = evaluate(
        tmp_path,
        submission=folder / "submission_with_wrong_ids.csv",
        annotations=shared_data / "luna16" / "annotations.csv",
        seriesuids=folder / "seriesuids.csv",
        output=tmp_path / "result",
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {folder}/submission_with_wrong_ids.csv: row 2, column seriesuid: found '222', expected one of the "
        "88 listed series; correct the id, take the row out, or list its scan"
    ]
    assert list((tmp_path / "result").iterdir()) == []


def test_an_output_that_is_a_file_is_refused_before_anything_is_read(files, tmp_path):
    files["output"].write_text("a result of another day")
    files["submission"].write_text("no submission")
    done = evaluate(tmp_path, **files)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {files['output']}: no folder that can be written to")
    assert files["output"].read_text() == "a result of another day"


def test_a_bad_cell_leaves_an_earlier_result_as_it_was(files, tmp_path):
    files["output"].mkdir()
    (files["output"] / "froc.json").write_text("earlier")
    files["annotations"].write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\na,NaN,0,0,6\n")
    done = evaluate(tmp_path, **files)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "annotations.csv: row 2, column coordX: found 'NaN'" in done.stderr
    assert (files["output"] / "froc.json").read_text() == "earlier"


def test_missing_flags_are_named(tmp_path):
    done = evaluate(tmp_path, submission="x.csv")
    assert done.returncode != 0
    for name in ("annotations", "seriesuids", "output"):
        assert f"--{name}" in done.stderr
