"""docs/viewers.md lists every column of the CSV and every field of the JSON, in their order, and nothing else."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from medssl_jax.imaging.volumes import Volume
from medssl_jax.report.nodules import scans_report
from medssl_jax.report.nodules.result_files import Choice
from medssl_jax.report.nodules.results import write_results
from medssl_jax.report.nodules.scan_report import DETECTION_COLUMNS

TEXT = (Path(__file__).parents[4] / "docs" / "viewers.md").read_text()
WITHOUT_FIELDS = ("versions", "detector.inference")  # whose names are not ours


def listed(first):
    """The names in the table whose first column is headed so."""
    (table,) = re.findall(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.M)
    return re.findall(r"^\| `([^`]+)` \|", table, re.M)


def fields_of(content, prefix=""):
    for name, value in content.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and path not in WITHOUT_FIELDS:
            yield from fields_of(value, f"{path}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from fields_of(value[0], f"{path}[].")
        else:
            yield path


@pytest.fixture
def result(turned_report, tmp_path):
    """What is read back of a scan's results."""
    report = turned_report()
    volume = Volume(np.zeros(report.grid.size_zyx, np.int16), report.grid, report.series_uid)
    write_results(tmp_path, report, volume, choice=Choice(("json",), 0.5), made_from={})
    return json.loads((tmp_path / "detections.json").read_text())


def test_columns_of_the_table():
    assert listed("column") == list(DETECTION_COLUMNS)


def test_fields_of_the_json(result):
    of_search = [name for name in listed("field") if name.startswith("made_from.")]  # tests of detect_folder hold them
    assert listed("field") == [*fields_of(result), *of_search]


def test_fields_of_the_json_of_several_scans(result):
    (paragraph,) = re.findall(r"Of several scans the `detections.json`.*?\n\n", TEXT, re.S)
    whole = scans_report.scans_as_json(scans_report.ScansReport({"a": result}, {"b": "torn"}, ["c"]))
    named = {name for name in re.findall(r"`([^`]+)`", paragraph)} - {"detections.json"}
    assert named == {*whole, *whole["scans"][0], *whole["failed"][0]} - {"intended_use"}
