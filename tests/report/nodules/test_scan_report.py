"""The CSV and the JSON hold every mark, to the digit that matters, and the place it has in the scan as read."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.submission import Marks, read_submission
from medssl_jax.metrics.nodules.operating_points import Calibration, OperatingPoint, OperatingPoints
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.scan_report import (
    DETECTION_COLUMNS,
    DetectorCard,
    ScanReport,
    detections_as_json,
    summary,
    write_detections_csv,
)
from medssl_jax.run_folder.experience import Experience, hash_of_series

# A quarter turned grid: index x runs to the back, y to the right.
GRID = Grid((50, 60, 70), (2.5, 0.8, 0.7), (10.0, 20.0, -300.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
SCORES = np.array([0.9, np.nextafter(np.float32(0.5), np.float32(1)), 0.5], np.float32).astype(np.float64)


def config(labelled=12, unlabelled=48, phantom=True, data_set="luna16"):
    data = {"data_set": data_set, "manual_dir": "/home/someone/LUNA16", "mask_lungs": True} | (
        {"phantom": {"seed": 1}} if phantom else {}
    )
    return {
        "data": data,
        "split": {"labelled": labelled, "unlabelled": unlabelled},
        "inference": {"score_threshold": 0.02},
    }


def detections(count=3, **changes):
    marks = Marks(
        ("1.2.3",) * count,
        np.array([[72.287, 76.9, -190.459], [10, 20, -300], [2, 27, -297.5]])[:count],
        SCORES[:count],
        np.array([21.45, 5, 4])[:count],
    )
    card = DetectorCard("phantom", 600, config())
    return ScanReport(
        **(
            dict(input_name="scan.mhd", lungs_name=None, series_uid="1.2.3", is_phantom_scan=False)
            | dict(grid=GRID, detector=card, marks=marks)
            | changes
        )
    )


def test_csv_is_a_submission_with_diameters(tmp_path):
    found = detections()
    write_detections_csv(tmp_path / "detections.csv", found, min_score=0.3)
    with open(tmp_path / "detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == DETECTION_COLUMNS
    assert [float(row["diameter_mm"]) for row in rows] == [21.45, 5, 4]
    read = read_submission(tmp_path / "detections.csv")
    np.testing.assert_allclose(read.centre_xyz_mm, found.marks.centre_xyz_mm, atol=1e-4)
    np.testing.assert_array_equal(read.score.astype(np.float32), SCORES.astype(np.float32))


def test_no_mark_is_a_header_and_an_empty_list(tmp_path):
    write_detections_csv(tmp_path / "d.csv", detections(0), min_score=0.3)
    write_json(tmp_path / "d.json", detections_as_json(detections(0), min_score=0.3))
    assert (tmp_path / "d.csv").read_text() == ",".join(DETECTION_COLUMNS) + "\n"
    assert json.loads((tmp_path / "d.json").read_text())["marks"] == []


def test_json_says_where_a_mark_lies_in_the_scan_as_read(tmp_path):
    write_json(tmp_path / "d.json", detections_as_json(detections(), min_score=0.3))
    written = json.loads((tmp_path / "d.json").read_text())
    assert written["marks"][0]["centre_xyz_mm"] == [72.287, 76.9, -190.459]
    assert written["marks"][1]["centre_voxel_zyx"] == [0, 0, 0]
    assert written["marks"][2]["centre_voxel_zyx"] == [1, 10, 10]  # 2.5 mm up, 8 mm to the right, 7 mm to the back
    assert written["grid"]["direction"] == list(GRID.direction)
    assert (written["input"], written["series_uid"], written["detector"]["step"]) == ("scan.mhd", "1.2.3", 600)
    assert written["detector"]["trained_on_phantom"] is True
    assert "jax" in written["versions"]
    assert "someone" not in json.dumps(written)


@pytest.mark.parametrize(
    ("size_zyx", "litres", "is_little"),
    [
        ((300, 350, 350), 0.99, True),
        ((300, 350, 350), 1.01, False),
        ((100, 100, 100), 0.2, False),
        ((1, 1, 1), None, False),
    ],
)
def test_lungs_too_small_for_a_chest_are_remarked(size_zyx, litres, is_little):
    """A litre, or in a small view a tenth of it; what is no lung is not judged."""
    found = detections(grid=Grid(size_zyx, (1.0, 1.0, 1.0)), lungs_litres=litres)
    assert any(line.startswith("Little was searched: lungs of 0.99 l, 5 mm ") for line in found.told(0.3)) == is_little
    assert detections_as_json(found, min_score=0.3)["lungs_litres"] == litres


def test_the_config_is_named_by_its_settings():
    assert DetectorCard("a", 1, config()).config_sha256 == DetectorCard("b", 2, config()).config_sha256
    assert DetectorCard("a", 1, config()).config_sha256 != DetectorCard("a", 1, config(labelled=25)).config_sha256


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "phantom", "data_set", "words"),
    [
        (25, 0, False, "luna16", "LUNA16: 25 labelled"),
        (25, 400, False, "luna16", "LUNA16: 25 labelled, 400 unlabelled"),
        (-1, 3, False, "folder", "a folder of scans: 3 unlabelled, all other training scans labelled"),
        (-1, 0, True, "luna16", "phantom (synthetic scans): all training scans labelled"),
        (-1, 5, True, "luna16", "phantom (synthetic scans): 5 unlabelled, all other training scans labelled"),
    ],
)
def test_training_scans_in_words(labelled, unlabelled, phantom, data_set, words):
    assert DetectorCard("run", 1, config(labelled, unlabelled, phantom, data_set)).trained_on == words


def known(calibration=None):
    points = (OperatingPoint(1.0, 0.5, 0.75, 0.5),)
    return Experience(OperatingPoints("LUNA16", 600, 4, 8, points, calibration), (hash_of_series("1.2.3"),))


def test_what_a_threshold_is_worth_is_told_everywhere(tmp_path):
    found = detections(experience=known(calibration=Calibration(2.0, -1.0, 0.2, 0.1)), is_cut=True, series_uid="1.2.4")
    sentence = (
        "At this threshold, 0.5, this detector had sensitivity 0.75 and 0.5 false positives a scan on 4 validation "
        "scans of LUNA16 (8 nodules)."
    )
    written = detections_as_json(found, min_score=0.5)
    assert sentence in written["told"]
    assert sentence in summary(found, min_score=0.5).splitlines()
    assert any("was cut at 3 marks" in line for line in written["told"])
    assert (written["list_is_cut"], written["was_trained_on"]) == (True, False)
    write_detections_csv(tmp_path / "d.csv", found, min_score=0.5)
    with open(tmp_path / "d.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["shown"] for row in rows] == ["yes"] * 3
    told = [(row["threshold"], row["sensitivity"], row["fps_per_scan"], row["validation_scans"]) for row in rows]
    assert told == [("0.5", "0.75", "0.5", "4")] * 3
    assert {row["list_is_cut"] for row in rows} == {"yes"}
    # Odds of 9 to 1, squared and divided by e.
    assert float(rows[0]["probability"]) == pytest.approx(81 / (81 + np.e), abs=1e-6)
    assert float(rows[2]["probability"]) == pytest.approx(1 / (1 + np.e), abs=1e-6)


def test_what_is_not_known_is_not_claimed():
    between = detections(experience=known())
    assert "was not measured" in between.told(0.4)[0]
    assert any("trained or validated on this very scan" in line for line in between.told(0.4))
    (only,) = detections().told(0.3)
    assert only.startswith("This detector has no operating points")
    written = detections_as_json(detections(), min_score=0.3)
    assert (written["was_trained_on"], written["threshold"]["sensitivity"]) == (None, None)
    assert {mark["probability"] for mark in written["marks"]} == {None}


def many(scores):
    """A report of a mark for each score, 1 mm apart."""
    n = len(scores)
    centres_xyz_mm = np.array([[k, 0.0, 0.0] for k in range(n)]).reshape(n, 3)
    return detections(0, marks=Marks(("1.2.3",) * n, centres_xyz_mm, np.array(scores), np.full(n, 5.0)))


# As a detector of float32 gives them.
FALLING = np.linspace(0.9, 0.1, 25).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    ("scores", "shown"),
    [
        (FALLING, 10),
        (FALLING[:10], 10),
        (FALLING[:9], 9),
        (np.zeros(0), 0),
        (FALLING[[*range(9), *[9] * 3, *range(10, 20)]], 12),  # three have the tenth's score
    ],
    ids=["many", "ten", "nine", "none", "equals"],
)
def test_without_a_threshold_the_ten_best_are_shown_and_all_are_written(tmp_path, scores, shown):
    found = many(scores)
    assert found.count_from(None) == shown
    written = detections_as_json(found, min_score=None)
    threshold = written["threshold"]
    assert [mark["shown"] for mark in written["marks"]] == [k < shown for k in range(len(scores))]
    assert threshold["score"] is None
    assert (threshold["best_marks"], threshold["sensitivity"], threshold["fps_per_scan"]) == (10, None, None)
    write_detections_csv(tmp_path / "d.csv", found, min_score=None)
    with open(tmp_path / "d.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(scores)
    assert [row["shown"] for row in rows] == ["yes"] * shown + ["no"] * (len(scores) - shown)
    assert {row["threshold"] for row in rows} <= {""}
    assert {row["best_marks"] for row in rows} <= {"10"}
    told = (
        "This detector has no operating points: the 10 best marks of a scan are shown, whatever their scores, and what "
        "that finds and misses was not measured. --min_score shows those from a score on."
    )
    assert told in written["told"]
    lines = summary(found, min_score=None).splitlines()
    assert lines[0] == f"scan.mhd: {len(scores)} marks, the best {shown} of them shown"
    assert told in lines


def test_a_detector_without_the_usual_rate_names_those_it_has():
    found = detections(experience=known())
    rates = known().points
    assert found.told(None)[0].startswith("This detector has no threshold for one false positive a scan: the 10 best")
    assert found.told(None)[0].endswith("from a score on, --fp_per_scan=1 those from its own.")
    none = dataclasses.replace(rates, points=())
    assert detections(experience=Experience(none, ())).told(None)[0].endswith("shows those from a score on.")
    assert detections_as_json(found, min_score=0.5)["threshold"]["best_marks"] is None


def test_summary_counts_and_warns_of_a_phantom_on_a_real_scan():
    lines = summary(detections(), min_score=0.6).splitlines()
    assert lines[0] == "scan.mhd: 3 marks, 1 of score 0.6 or more"
    assert any("synthetic scans only" in line for line in lines)
    assert "not a medical device" in lines[-1]
    real = detections(detector=DetectorCard("luna", 1, config(phantom=False)))
    assert "synthetic" not in summary(real, min_score=0.6)


def test_what_came_with_the_weights_is_told():
    told = "a demonstration, trained on few crops"
    card = DetectorCard("demonstration", 1, config(phantom=False), told)
    assert told in summary(detections(detector=card), min_score=0.6).splitlines()
    assert card.as_json()["about"] == told


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"absent/detections\.csv: cannot be written"):
        write_detections_csv(tmp_path / "absent" / "detections.csv", detections(), min_score=0.3)
