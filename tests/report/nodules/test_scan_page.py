"""The page as a reader of HTML finds it: its figures, its words, nothing from outside; and the real nodule in it."""

import numpy as np
import pytest

from medssl_jax.data.preparation import prepare_volume
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.submission import Marks
from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.report.nodules.scan_page import direction_in_words, scan_page
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport

# LUNA16, annotations.csv, series 1.3.6.1.4.1.14519.5.2.1.6279.6001.170706757615202213033480003264
NODULE_XYZ_MM, NODULE_DIAMETER_MM = np.array([72.287, 76.900, -190.459]), 21.45


def slices_of(page, number):
    return [image for image in page.images if f"through mark {number} " in image["alt"]]


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


def prepared(volume):
    lungs = Volume(np.ones_like(volume.array_zyx, np.uint8), volume.grid, volume.series_uid)
    return prepare_volume(volume, lungs, np.zeros((0, 3)), np.zeros(0), lung_dilation_mm=0.0)


@pytest.fixture(scope="module")
def page_of(read_page):
    def make(volume, *found, min_probability=0.3, **changes):
        detections = found_in(volume, *found, **changes)
        return read_page(scan_page(detections, prepared(volume), min_probability=min_probability))

    return make


THREE = ([[0, 0, 20], [10, -20, 30], [20, 5, 12]], [0.9, 0.5, 0.2], [10, 6, 8])


def test_one_figure_of_each_view_for_each_shown_mark_and_no_other(page_of):
    page = page_of(chest(), *THREE)
    assert len(page.images) == 3 + 2 * 3
    for number in (1, 2):
        assert [image["alt"].split()[0] for image in slices_of(page, number)] == ["Axial", "Coronal", "Sagittal"]
    assert slices_of(page, 3) == []
    assert "2 of 3 marks" in page.text
    assert "0.900" in page.text
    assert "0.200" not in page.text


def test_it_reads_offline_and_every_link_leads_somewhere(page_of):
    page = page_of(chest(), *THREE, min_probability=0.0)
    assert all(image["alt"].endswith(".") for image in page.images)
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert {link.removeprefix("#") for link in page.links} == set(page.ids) == {"mark-1", "mark-2", "mark-3"}


def test_pictures_are_in_proportion(page_of, picture):
    for image in page_of(chest(), *THREE).images:
        height, width = picture(image).shape[:2]
        assert width / height == pytest.approx(int(image["width"]) / int(image["height"]))
    # 72 x 1.25 by 60 x 1.5 by 16 x 2.5 mm, seen from below, from the front and from the left.
    sizes = [(int(image["width"]), int(image["height"])) for image in page_of(chest(), *THREE).images[:3]]
    assert sizes == [(90, 90), (90, 40), (90, 40)]


def test_a_turned_scan_and_its_twin_give_the_same_pictures_and_places(page_of, picture):
    straight = page_of(chest(), *THREE)
    turned = page_of(chest((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)), *THREE)
    assert len(straight.images) == len(turned.images) == 9
    for one, other in zip(straight.images, turned.images, strict=True):
        assert one["alt"] == other["alt"]
        np.testing.assert_array_equal(picture(one), picture(other))
    assert "x to the patient's left, y to the back" in straight.text
    assert "x to the patient's right, y to the front" in turned.text
    for words in (straight.text, turned.text):
        assert "0.0, 0.0, 20.0" in words
    assert "32, 33, 5" in straight.text
    assert "39, 26, 5" in turned.text


def test_what_it_is_not_is_said(page_of):
    real = page_of(chest(), *THREE, phantom=False)
    assert "not a medical device" in real.text
    assert "phantom" not in real.text
    assert "synthetic" not in real.text
    assert "has never seen a patient" in page_of(chest(), *THREE).text
    assert "This scan is synthetic" in page_of(chest(), *THREE, is_phantom_scan=True).text
    assert "A demonstration <of crops>" in page_of(chest(), *THREE, about="A demonstration <of crops>").text


@pytest.mark.parametrize(("found", "words"), [(([], [], []), "made no mark"), (THREE, "No mark reaches")])
def test_no_mark_is_no_all_clear(found, words, page_of):
    page = page_of(chest(), *found, min_probability=0.95)
    assert words in page.text
    assert "does not mean that the scan is free of nodules" in page.text
    assert len(page.images) == 3


def test_names_cannot_break_the_page(page_of):
    name = '<script>alert("1")</script> & $footer.mhd'
    page = page_of(chest(), *THREE, input_name=name, lungs_name="<b>")
    assert name in page.text


def test_many_marks_leave_the_overview_readable(page_of):
    volume = chest()
    places = np.random.default_rng(1).uniform((-30, -40, 10), (30, 30, 40), (30, 3))
    page = page_of(volume, places, np.linspace(0.9, 0.5, 30), np.full(30, 5.0))
    assert len(page.images) == 3 + 90
    overview_links = page.links[: page.links.index("#mark-1", 1)]
    assert len(overview_links) == 20


def test_a_tilt_is_told():
    cosine, sine = np.cos(np.radians(10)), np.sin(np.radians(10))
    tilted = (1.0, 0.0, 0.0, 0.0, cosine, -sine, 0.0, sine, cosine)
    assert direction_in_words(Grid((1, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tilted)).endswith("; tilted by 10.0°")
    head_first = "x to the patient's left, y to the back, z to the head"
    assert direction_in_words(Grid((1, 1, 1), (1.0, 1.0, 1.0))) == head_first


def test_the_real_nodule_lies_bright_in_the_middle_of_its_slices(shared_data, page_of, picture):
    volume = read_volume(shared_data / "ct" / "lidc_idri_0003")
    page = page_of(volume, [NODULE_XYZ_MM], [0.9], [NODULE_DIAMETER_MM])
    assert "72.3, 76.9, -190.5" in page.text
    assert "367, 350, 5" in page.text
    for image in slices_of(page, 1):
        grey, opacity = np.moveaxis(picture(image, "LA").astype(float), -1, 0)
        middle = grey.shape[0] // 2
        millimetre = grey.shape[0] / int(image["width"])
        distance_mm = np.hypot(*(np.indices(grey.shape) - middle)) / millimetre
        inside = distance_mm < 0.3 * NODULE_DIAMETER_MM
        shell = (distance_mm > 0.7 * NODULE_DIAMETER_MM) & (distance_mm < NODULE_DIAMETER_MM) & (opacity > 0)
        assert opacity[middle, middle] == 255
        assert np.median(grey[inside]) > 200
        assert np.median(grey[shell]) < 120
