"""The page as a reader of HTML finds it: its marks, words and voxels, nothing from outside; the real nodule in it."""

import base64
import hashlib
import json
import re
from html import unescape

import numpy as np
import pytest

from medssl_jax.imaging.dicom.references import Instance, SeriesReference
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.submission import Marks
from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.metrics.nodules.operating_points import Calibration, OperatingPoints
from medssl_jax.report.nodules import page_voxels
from medssl_jax.report.nodules.page_voxels import codes_of
from medssl_jax.report.nodules.scan_page import TIMES, direction_in_words, scan_page
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport
from medssl_jax.run_folder.experience import Experience

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.170706757615202213033480003264"
# LUNA16, annotations.csv, that series
NODULE_XYZ_MM, NODULE_DIAMETER_MM = np.array([72.287, 76.900, -190.459]), 21.45


def chest(direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)):
    """Noise that no symmetry leaves as it is, voxel for voxel at the same place in the world for either direction."""
    array = np.random.default_rng(0).integers(-1000, 200, (16, 60, 72)).astype(np.int16)
    grid = Grid(array.shape, (2.5, 1.5, 1.25), (-40.0, -50.0, 7.0))
    if direction[0] < 0:
        array = array[:, ::-1, ::-1].copy()
        far_corner = voxel_zyx_to_world_xyz_mm(np.array([[0.0, 59, 71]]), grid)[0]
        grid = Grid(grid.size_zyx, grid.spacing_zyx_mm, tuple(far_corner.tolist()), direction)
    return Volume(array, grid, "1.2.3")


def found_in(volume, centres_xyz_mm, probabilities, diameters_mm, *, phantom=True, about="", **changes):
    n = len(probabilities)
    marks = Marks(
        (volume.series_uid,) * n,
        np.array(centres_xyz_mm, float).reshape(n, 3),
        np.array(probabilities, float),
        np.array(diameters_mm, float),
    )
    config = {
        "data": {"data_set": "luna16"} | ({"phantom": {}} if phantom else {}),
        "split": {"labelled": 12, "unlabelled": 48},
        "inference": {},
    }
    return ScanReport(
        **(
            dict(input_name="scan.mhd", lungs_name=None, series_uid=volume.series_uid, is_phantom_scan=False)
            | dict(grid=volume.grid, detector=DetectorCard("run", 600, config, about), marks=marks)
            | changes
        )
    )


def data_in(html):
    """What the page's script reads."""
    return json.loads(re.search(r'<script type="application/json" id="scan">(.*?)</script>', html, re.S)[1])


@pytest.fixture(scope="module")
def made():
    """Makes the text of a page."""

    def make(volume, *found, min_score=0.3, **changes):
        return scan_page(found_in(volume, *found, **changes), volume, min_score=min_score)

    return make


@pytest.fixture(scope="module")
def page_of(read_page, made):
    return lambda *of, **options: read_page(made(*of, **options))


THREE = ([[0, 0, 20], [10, -20, 30], [20, 5, 12]], [0.9, 0.5, 0.2], [10, 6, 8])


def rows_of(html):
    return re.findall(r'<tr id="row-(\d+)"( hidden)?>(.*?)</tr>', html, re.S)


def test_every_mark_has_a_row_and_those_below_the_threshold_wait(made):
    html = made(chest(), *THREE)
    assert [(number, bool(hidden)) for number, hidden, _ in rows_of(html)] == [("1", False), ("2", False), ("3", True)]
    assert "2 of 3 marks reach a score of 0.3" in html
    data = data_in(html)
    assert data["threshold"] == 0.3
    assert [(mark["number"], mark["score"]) for mark in data["marks"]] == [(1, 0.9), (2, 0.5), (3, 0.2)]


def test_without_a_threshold_the_ten_best_are_shown_and_the_others_wait(page_of, made, monkeypatch):
    monkeypatch.setattr(page_voxels, "NATIVE_VOXELS", 1000)
    scores = np.linspace(0.9, 0.1, 13)
    found = ([[k, 0, 20] for k in range(13)], scores, [5] * 13)
    html = made(chest(), *found, min_score=None)
    assert [bool(hidden) for _, hidden, _ in rows_of(html)] == [False] * 10 + [True] * 3
    data = data_in(html)
    assert data["threshold"] == scores[9]
    assert (len(data["marks"]), len(data["patches"])) == (13, 10)
    text = page_of(chest(), *found, min_score=None).text
    assert "10 of 13 marks, the best, are shown. The slider of the score shows the others." in text
    assert "This detector has no operating points: the 10 best marks of a scan are shown" in text
    assert "made no mark" in page_of(chest(), [], [], [], min_score=None).text


def test_it_reads_offline_and_runs_its_own_script_alone(made, read_page):
    html = made(chest(), *THREE, input_name="</script><script>alert(1)</script>", about="$script <!--")
    page = read_page(html)
    assert page.addresses == []
    assert not re.search(r"https?://", html)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    assert html.count("<script") == 2


def test_marks_lie_on_the_voxels_that_they_mark(made, levels_of):
    """In the page's own coordinates voxel i reaches from i to i + 1."""
    volume = chest()
    volume.array_zyx[:] = -900
    volume.array_zyx[9, 20, 33] = 400
    centre = voxel_zyx_to_world_xyz_mm(np.array([[9.0, 20, 33]]), volume.grid)
    data = data_in(made(volume, centre, [0.9], [5]))
    assert data["size"] == [16, 60, 72]
    assert data["marks"][0]["place"] == pytest.approx([9.5, 20.5, 33.5])
    levels = levels_of(data["stack"])
    assert np.unravel_index(levels.argmax(), levels.shape) == (9, 20, 33)


def test_of_a_large_scan_shown_marks_keep_all_resolution(made, levels_of, monkeypatch):
    monkeypatch.setattr(page_voxels, "NATIVE_VOXELS", 1000)
    volume = chest()
    data = data_in(made(volume, *THREE))
    assert data["stack"]["reduction_zyx"] == [1, 2, 2]
    assert len(data["patches"]) == 2
    for mark, patch in zip(data["marks"], data["patches"], strict=False):
        assert patch["reduction_zyx"] == [1, 1, 1]
        low, size = np.array(patch["low_zyx"]), np.array(patch["size_zyx"])
        assert (low <= mark["place"]).all()
        assert (low + size >= mark["place"]).all()
        part = volume.array_zyx[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))]
        assert np.corrcoef(levels_of(patch).ravel(), codes_of(part).ravel())[0, 1] > 0.95


def test_a_turned_scan_and_its_twin_give_the_same_page_but_for_what_is_read(made):
    straight = made(chest(), *THREE)
    turned = made(chest((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)), *THREE)
    assert data_in(straight) == data_in(turned)
    assert "x to the patient's left, y to the back" in unescape(straight)
    assert "x to the patient's right, y to the front" in unescape(turned)
    for html, voxel in ((straight, "32, 33, 5"), (turned, "39, 26, 5")):
        assert "0.0, 0.0, 20.0" in html
        assert voxel in html


def dicom(numbers, **changes):
    return SeriesReference("1.2", "1.3", tuple(Instance(f"1.4.{n}", n) for n in numbers), **changes)


def test_slices_have_the_numbers_of_their_instances_from_the_feet_up(made):
    """Read from the head down, the first slice is the last of the page."""
    volume = chest()
    grid = Grid(
        volume.grid.size_zyx, volume.grid.spacing_zyx_mm, (0.0,) * 3, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    )
    found = ([[0, 0, -2.5 * 4]], [0.9], [5])
    html = made(Volume(volume.array_zyx, grid, "1.2.3"), *found, source=dicom(range(101, 117)))
    data = data_in(html)
    assert data["slice_axis"] == 0
    assert data["instance_numbers"] == [*range(116, 100, -1)]
    assert data["instance_numbers"][int(data["marks"][0]["place"][0])] == 105
    assert "<td>105</td>" in html


def test_slices_that_follow_each_other_to_the_left_are_sagittal(made):
    grid = Grid((16, 60, 72), (2.5, 1.5, 1.25), (0.0, 0.0, 0.0), tuple(np.eye(3)[[2, 0, 1]].ravel().tolist()))
    data = data_in(made(Volume(chest().array_zyx, grid, "1"), [], [], [], source=dicom(range(16))))
    assert (data["slice_axis"], data["size"]) == (2, [60, 72, 16])
    assert data["instance_numbers"] == [*range(16)]


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "Marks in scan.mhd"),
        ({"input_name": f"subset9/{UID}.mhd"}, "Marks in subset9/1.3.6…003264.mhd"),
        (
            {"source": dicom([1] * 16, description="LUNG 1.0 B60f", date="2000-01-31")},
            "Marks in LUNG 1.0 B60f, 2000-01-31",
        ),
        ({"source": dicom([1] * 16, date="2000-01-31"), "input_name": UID}, "Marks in 1.3.6…003264, 2000-01-31"),
        ({"source": dicom([1] * 16)}, "Marks in scan.mhd"),
    ],
)
def test_a_title_is_for_people(made, changes, title):
    html = made(chest(), *THREE, **changes)
    assert f"<title>{title}</title>" in html
    assert f"<h1>{title}</h1>" in html


def test_a_mark_has_two_diameters_a_volume_and_a_density_or_a_dash(made):
    volume = chest()
    volume.array_zyx[:] = -850
    z, y, x = (index * mm for index, mm in zip(np.indices((16, 60, 72)), volume.grid.spacing_zyx_mm, strict=True))
    inside = (z - 20) ** 2 / 36 + (y - 45) ** 2 / 81 + (x - 45) ** 2 / 36 < 1
    volume.array_zyx[inside] = 30
    centre = np.array([45.0, 45, 20]) + volume.grid.origin_xyz_mm
    html = made(volume, [centre, centre - 30], [0.9, 0.8], [14, 5])
    ball, lung = (re.findall("<td>(.*?)</td>", row)[2:5] for _, _, row in rows_of(html))
    long, short = map(float, ball[0].split(TIMES))
    assert (long, short) == (pytest.approx(18, rel=0.05), pytest.approx(12, rel=0.08))
    assert float(ball[1]) == pytest.approx(inside.sum() * 2.5 * 1.5 * 1.25, abs=1)
    assert ball[2] == "30"
    assert lung == ["-", "-", "-"]


def test_a_calibrated_score_is_shown(made):
    points = OperatingPoints("LUNA16", 600, 4, 8, (), Calibration(1.0, 0.0, 0.2, 0.1))
    html = made(chest(), *THREE, experience=Experience(points, ()))
    assert '<th scope="col">Probability</th>' in html
    assert re.findall("<td>(.*?)</td>", rows_of(html)[0][2])[:2] == ["0.900", "0.900"]
    what_it_is = "A probability is a score that was calibrated on validation scans"
    assert what_it_is in html
    assert what_it_is not in made(chest(), *THREE)


def test_what_it_is_not_is_said(page_of):
    real = page_of(chest(), *THREE, phantom=False)
    assert "not a medical device" in real.text
    assert "phantom" not in real.text
    assert "synthetic" not in real.text
    assert "has never seen a patient" in page_of(chest(), *THREE).text
    assert "This scan is synthetic" in page_of(chest(), *THREE, is_phantom_scan=True).text
    assert "A demonstration <of crops>" in page_of(chest(), *THREE, about="A demonstration <of crops>").text


@pytest.mark.parametrize(
    ("found", "words"), [(([], [], []), "made no mark"), (THREE, "None of 3 marks reaches a score of 0.95")]
)
def test_no_mark_is_no_all_clear(found, words, page_of):
    page = page_of(chest(), *found, min_score=0.95)
    assert words in page.text
    assert "does not mean that the scan is free of lesions" in page.text


def test_names_cannot_break_the_page(page_of):
    name = '<script>alert("1")</script> & $footer.mhd'
    page = page_of(chest(), *THREE, input_name=name, lungs_name="<b>")
    assert name in page.text


def test_a_tilt_is_told():
    cosine, sine = np.cos(np.radians(10)), np.sin(np.radians(10))
    tilted = (1.0, 0.0, 0.0, 0.0, cosine, -sine, 0.0, sine, cosine)
    assert direction_in_words(Grid((1, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tilted)).endswith("; tilted by 10.0°")
    head_first = "x to the patient's left, y to the back, z to the head"
    assert direction_in_words(Grid((1, 1, 1), (1.0, 1.0, 1.0))) == head_first


def test_the_real_nodule_lies_dense_in_its_patch(shared_data, made, levels_of):
    volume = read_volume(shared_data / "ct" / "lidc_idri_0003")
    html = made(volume, [NODULE_XYZ_MM], [0.9], [NODULE_DIAMETER_MM])
    assert "72.3, 76.9, -190.5" in html
    assert "367, 350, 5" in html
    data = data_in(html)
    levels = levels_of(data["stack"])
    place, spacing = np.array(data["marks"][0]["place"]), np.array(data["spacing"])
    apart_mm = [(np.arange(n) + 0.5 - at) * mm for n, at, mm in zip(levels.shape, place, spacing, strict=True)]
    distance_mm = np.sqrt(sum(np.square(each) for each in np.meshgrid(*apart_mm, indexing="ij")))
    inside = distance_mm < 0.3 * NODULE_DIAMETER_MM
    shell = (distance_mm > 0.7 * NODULE_DIAMETER_MM) & (distance_mm < NODULE_DIAMETER_MM)
    assert np.median(levels[inside]) > codes_of(np.array([-100]))
    assert np.median(levels[shell]) < codes_of(np.array([-700]))
    long, short = map(float, re.findall("<td>(.*?)</td>", rows_of(html)[0][2])[2].split(TIMES))
    assert short < NODULE_DIAMETER_MM < long
    assert (long + short) / 2 == pytest.approx(NODULE_DIAMETER_MM, rel=0.1)


def test_a_whole_real_chest_is_three_megabytes_at_most(shared_data, made):
    (path,) = (shared_data / "real" / "scans").glob("subset9/*.mhd")
    volume = read_volume(path)
    html = made(volume, [NODULE_XYZ_MM], [0.9], [NODULE_DIAMETER_MM])
    assert len(html.encode()) < 3e6
    assert data_in(html)["stack"]["size_zyx"] == [137, 139, 211]
