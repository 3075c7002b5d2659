"""The CSV and the JSON hold every slide, to the digit that matters, and what did not run is left empty."""

import csv
import json

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.report.json_report import write_json
from medssl_jax.report.slides.slide_report import (
    ClassifierCard,
    result_columns,
    results_as_json,
    summary,
    write_results_csv,
)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_line_a_slide_and_leaves_empty_what_did_not_run(slide_report, tmp_path):
    write_results_csv(tmp_path / "results.csv", slide_report())
    settled, sent, black = read(tmp_path / "results.csv")
    assert tuple(settled) == result_columns(("Neg", "AMA", "SMA-V", "SMA-T"))
    assert [row["slide"] for row in (settled, sent, black)] == ["settled", "sent", "black"]
    assert (settled["class"], settled["route"], float(settled["probability"])) == ("Neg", "low", pytest.approx(0.95))
    assert (settled["high_Neg"], settled["seconds_patch_read"], settled["seconds"]) == ("", "", "0.3000")
    assert (sent["class"], sent["route"], float(sent["probability"])) == ("SMA-V", "high", pytest.approx(0.7))
    assert float(sent["low_AMA"]) == pytest.approx(0.6)
    assert (sent["seconds_high_network"], sent["seconds"]) == ("4.0000", "6.3000")
    assert [row["foreground_patches"] for row in (settled, sent, black)] == ["12", "12", "0"]


def test_probabilities_are_told_apart_as_the_networks_told_them(slide_report, slide_result, tmp_path):
    odd = np.nextafter(np.float32([0.9, 0.1, 0, 0]), np.float32(1))
    write_results_csv(tmp_path / "results.csv", slide_report(results=(slide_result("odd", odd),)))
    (row,) = read(tmp_path / "results.csv")
    assert [np.float32(row[f"low_{name}"]) for name in ("Neg", "AMA")] == odd[:2].tolist()


def test_json_traces_classifier_switch_and_software(slide_report, tmp_path):
    write_json(tmp_path / "results.json", results_as_json(slide_report()))
    written = json.loads((tmp_path / "results.json").read_text())
    assert "not a medical device" in written["intended_use"]
    assert written["switch"] == {"rule": "confidence", "c": 0.9}
    assert written["classifier"]["trained_on"] == "phantom (synthetic slides)"
    assert (written["classifier"]["run"], written["classifier"]["step"]) == ("phantom_sos", 600)
    assert {"python", "medssl-jax", "jax", "imagecodecs", "simplejpeg"} <= set(written["versions"])
    assert written["refused"] == {"bad.tif": "bad.tif: not a TIFF"}
    assert "someone" not in json.dumps(written)


def test_json_says_where_the_hrn_looked_most(slide_report):
    settled, sent, _ = results_as_json(slide_report())["slides"]
    assert settled["high_probability"] is None
    assert settled["most_attended_patches"] is None
    assert sent["high_probability"]["SMA-V"] == pytest.approx(0.7)
    assert sent["most_attended_patches"] == [
        {"row": 1, "column": 2, "attention": 0.75},
        {"row": 3, "column": 0, "attention": 0.25},
    ]


def test_a_detector_of_real_slides_says_so():
    card = ClassifierCard("lks", 1, {"data": {}, "inference": {}})
    assert (card.trained_on, card.trained_on_phantom) == ("LKS", False)


def test_what_came_with_the_weights_is_told(slide_report):
    card = ClassifierCard("lks", 1, {"data": {}, "inference": {}}, "a demonstration")
    assert "a demonstration" in summary(slide_report(classifier=card)).splitlines()


def test_summary_counts_warns_and_names_what_was_not_read(slide_report):
    lines = summary(slide_report()).splitlines()
    assert lines[0] == "3 slides: 2 Neg, 1 SMA-V"
    assert lines[1] == "2 settled at low resolution, 1 sent to full resolution; 2.3 s a slide"
    assert "says nothing about a patient" not in summary(slide_report(are_phantom_slides=True))
    assert any("synthetic slides only" in line for line in lines)
    assert "black: no tissue found, its class means little" in lines
    assert "not read: bad.tif: not a TIFF" in lines
    assert "not a medical device" in lines[-1]


def test_no_slide_is_a_header_and_an_empty_list(slide_report, tmp_path):
    nothing = slide_report(results=())
    write_results_csv(tmp_path / "results.csv", nothing)
    assert read(tmp_path / "results.csv") == []
    assert results_as_json(nothing)["slides"] == []
    assert "not read" in summary(nothing)


def test_a_folder_that_is_not_there_is_one_line(slide_report, tmp_path):
    with pytest.raises(InputError, match=r"absent/results\.csv: cannot be written"):
        write_results_csv(tmp_path / "absent" / "results.csv", slide_report())
