"""A `.mrk.json` as Slicer's published schema has it (v1.0.3), its rules written out here."""

import json
import re

import numpy as np

from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.formats.slicer_markups import markups_as_json

POINT = {
    **dict.fromkeys(("id", "label", "description"), str),
    **dict.fromkeys(("selected", "locked", "visibility"), bool),
    **{"position": list, "positionStatus": str},
}


def written(tmp_path, report, min_score):
    write_json(tmp_path / "d.mrk.json", markups_as_json(report, min_score=min_score))
    return json.loads((tmp_path / "d.mrk.json").read_text())


def test_the_file_is_by_slicers_schema(tmp_path, turned_report):
    content = written(tmp_path, turned_report(), 0.0)
    assert re.fullmatch(r"https://\S+/markups-schema-v1\.0\.3\.json#", content["@schema"])
    (markup,) = content["markups"]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("Fiducial", "LPS", "mm")
    assert (type(markup["name"]), type(markup["locked"])) == (str, bool)
    assert markup["display"] == {"pointLabelsVisibility": True}  # an object of booleans, among others
    for point in markup["controlPoints"]:
        assert {name: type(value) for name, value in point.items()} == POINT
        assert [type(mm) for mm in point["position"]] == [float] * 3
        assert point["positionStatus"] == "defined"
    assert len({point["id"] for point in markup["controlPoints"]}) == 3


def test_points_are_the_likely_marks_with_score_and_diameter(tmp_path, turned_report):
    report = turned_report()
    (markup,) = written(tmp_path, report, 0.5)["markups"]
    assert markup["name"] == "2 of 3 marks of luna, step 600"
    points = markup["controlPoints"]
    assert [point["label"] for point in points] == ["1: 0.90", "2: 0.50"]
    np.testing.assert_allclose([point["position"] for point in points], report.marks.centre_xyz_mm[:2], atol=1e-4)
    assert points[0]["description"].startswith("score 0.9, diameter 9.000 mm. Research software")
    assert written(tmp_path, report, 0.95)["markups"][0]["controlPoints"] == []
    assert len(written(tmp_path, report, None)["markups"][0]["controlPoints"]) == 3  # fewer than the ten best
