"""The page of a scan in a headless browser, at three widths: scrolled, clicked, filtered; its pixels and HU agree."""

import functools
import json
import re

import numpy as np
import pytest

from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.submission import Marks
from medssl_jax.imaging.volumes import Volume
from medssl_jax.report.nodules import page_voxels
from medssl_jax.report.nodules.scan_page import scan_page
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport
from medssl_jax.report.nodules.views import LUNG_WINDOW_HU, SOFT_TISSUE_WINDOW_HU

pytestmark = pytest.mark.slow
WIDTHS = (1400, 800, 400)
SHAPE, SPACING_ZYX_MM = (24, 110, 130), (2.5, 1.2, 1.2)
PLACES_ZYX = [(16, 40, 90), (16, 42, 92), (5, 80, 30), (5, 20, 20)]
SCORES = [0.9, 0.55, 0.3, 0.1]  # the third is the threshold itself
DIAMETERS_MM = [12, 12, 9, 6]


def scan():
    """Each octant has an HU of its own, so that a picture tells where it is from."""
    z, y, x = np.indices(SHAPE)
    octant = 4 * (z >= 12) + 2 * (y >= 55) + (x >= 65)
    hu = np.array([-1000, -800, -600, -400, -200, -50, 40, 120])[octant].astype(np.int16)
    return Volume(hu, Grid(SHAPE, SPACING_ZYX_MM, (-70.0, -60.0, 10.0)), "1.2.3")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    volume = scan()
    centres = voxel_zyx_to_world_xyz_mm(np.array(PLACES_ZYX, float), volume.grid)
    marks = Marks(("1.2.3",) * 4, centres, np.array(SCORES), np.array(DIAMETERS_MM, float))
    config = {"data": {"data_set": "luna16"}, "split": {"labelled": 12, "unlabelled": 48}, "inference": {}}
    card = DetectorCard("run", 600, config)
    report = ScanReport("scan.mhd", None, "1.2.3", False, volume.grid, card, marks)
    path = tmp_path_factory.mktemp("page") / "detections.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_voxels, "NATIVE_VOXELS", 1000)  # as a chest: half resolution, and patches
        path.write_text(scan_page(report, volume, min_score=0.3), encoding="utf-8")
    return path


class Viewer:
    """What a person sees and does."""

    def __init__(self, chromium, path, width):
        self.browser = chromium
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get(path.as_uri())
        self.wait("!document.getElementById('viewer').hidden && document.getElementById('loading').hidden")

    def wait(self, condition):
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.browser, 20).until(lambda browser: browser.execute_script(f"return {condition}"))

    def __call__(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        found = self.browser.find_element("css selector", selector)
        self("arguments[0].scrollIntoView({block: 'center'})", found)
        return found

    def slices(self):
        """The slice of each plane, from 1."""
        texts = (self.find(f"#{name} output").text for name in ("axial", "coronal", "sagittal"))
        return [int(re.match(r"slice (\d+) of", text)[1]) for text in texts]

    def pixel(self, name, across, down):
        """The colour at a part of the width and of the height of a plane."""
        script = """
            const canvas = document.querySelector(arguments[0] + " canvas");
            const [x, y] = [Math.floor(arguments[1] * canvas.width), Math.floor(arguments[2] * canvas.height)];
            return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
        """
        return self(script, f"#{name}", across, down)

    def click(self, name, across, down):
        from selenium.webdriver import ActionChains

        canvas = self.find(f"#{name} canvas")
        x, y = (round((part - 0.5) * canvas.size[side]) for part, side in ((across, "width"), (down, "height")))
        ActionChains(self.browser).move_to_element_with_offset(canvas, x, y).click().perform()

    def wheel(self, name, pixels):
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

        origin = ScrollOrigin.from_element(self.find(f"#{name} canvas"))
        ActionChains(self.browser).scroll_from_origin(origin, 0, pixels).perform()

    def rows(self):
        """The numbers in the rows that are seen."""
        rows = self.browser.find_elements("css selector", "tbody tr")
        return [int(row.get_attribute("id").removeprefix("row-")) for row in rows if row.is_displayed()]


@pytest.fixture(params=WIDTHS)
def viewer(chromium, page_file, request):
    return Viewer(chromium, page_file, request.param)


def brightness(hu, window_hu):
    low, high = window_hu
    return float(np.clip(255 * (hu - low) / (high - low), 0, 255))


def test_nothing_is_fetched_nothing_fails_nothing_is_wider_than_the_window(viewer):
    messages = [json.loads(entry["message"])["message"] for entry in viewer.browser.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert {url.partition(":")[0] for url in sent} <= {"file", "data"}
    # Chromium gives advice on reading pixels, as the tests do that may have run before.
    assert [entry for entry in viewer.browser.get_log("browser") if entry["source"] != "rendering"] == []
    assert viewer("return document.documentElement.scrollWidth <= window.innerWidth")
    for name in ("axial", "coronal", "sagittal"):
        canvas = viewer.find(f"#{name} canvas")
        assert canvas.size["width"] > 100
        assert canvas.size["height"] > 100


def test_it_opens_at_the_best_mark_in_the_lung_window(viewer):
    assert viewer.slices() == [17, 41, 91]
    of_lung = functools.partial(brightness, window_hu=LUNG_WINDOW_HU)
    # Slice 17: front right, front left, back right, back left of the upper octants.
    axial = [viewer.pixel("axial", *place) for place in ((0.2, 0.2), (0.85, 0.2), (0.2, 0.8), (0.85, 0.8))]
    np.testing.assert_allclose(axial, [[of_lung(hu)] * 3 for hu in (-200, -50, 40, 120)], atol=4)
    # Row 41: head right, head left, feet right, feet left of the front octants; the scan is 60 of 100 mm high.
    coronal = [viewer.pixel("coronal", *place) for place in ((0.2, 0.3), (0.9, 0.3), (0.2, 0.7), (0.85, 0.7))]
    np.testing.assert_allclose(coronal, [[of_lung(hu)] * 3 for hu in (-200, -50, -1000, -800)], atol=4)
    # Column 91: head front, head back, feet front, feet back of the left octants.
    sagittal = [viewer.pixel("sagittal", *place) for place in ((0.2, 0.3), (0.8, 0.3), (0.2, 0.7), (0.8, 0.7))]
    np.testing.assert_allclose(sagittal, [[of_lung(hu)] * 3 for hu in (-50, 120, -800, -400)], atol=4)


def test_the_wheel_and_the_keys_scroll(viewer):
    from selenium.webdriver import Keys

    viewer.wheel("axial", 120)
    assert viewer.slices() == [16, 41, 91]  # down is to the feet
    viewer.wheel("coronal", 120)
    viewer.wheel("sagittal", -120)
    assert viewer.slices() == [16, 42, 90]
    slider = viewer.find("#axial-slice")
    slider.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_UP)
    assert viewer.slices() == [19, 42, 90]
    slider.send_keys(Keys.HOME)
    assert viewer.slices() == [1, 42, 90]
    lung = brightness(-1000, LUNG_WINDOW_HU)
    np.testing.assert_allclose(viewer.pixel("axial", 0.2, 0.4), [lung] * 3, atol=4)
    assert slider.get_attribute("aria-valuetext") == "slice 1 of 24"


def test_windows_show_their_hu(viewer):
    viewer.find("#window-soft").click()
    for place, hu in (((0.2, 0.2), -200), ((0.85, 0.2), -50), ((0.2, 0.8), 40), ((0.85, 0.8), 120)):
        expected = brightness(hu, SOFT_TISSUE_WINDOW_HU)
        np.testing.assert_allclose(viewer.pixel("axial", *place), [expected] * 3, atol=6)


def test_a_row_leads_to_its_mark_and_a_click_to_its_point(viewer):
    viewer.find("button[data-mark='3']").click()
    assert viewer.slices() == [6, 81, 31]
    assert viewer("return document.querySelector('tr[aria-current]').id") == "row-3"
    assert viewer.find("#zoom").text == "4\u00d7"
    for _ in range(2):
        viewer.find("#farther").click()
    assert viewer.find("#zoom").text == "1\u00d7"
    viewer.click("axial", 0.5, 0.25)
    z, y, x = viewer.slices()
    assert (z, abs(y - 28) <= 1, abs(x - 66) <= 1) == (6, True, True)
    viewer.click("coronal", 0.5, 0.3)  # 30 of 100 mm below the upper edge: 10 mm below the scan's, which is slice 20
    assert abs(viewer.slices()[0] - 20) <= 1
    viewer.find("#next").click()
    assert viewer.slices() == [17, 41, 91]  # row 3 is the last that is shown; after it comes the first


def test_the_score_filters_boxes_and_rows(viewer):
    from selenium.webdriver import Keys

    assert viewer.rows() == [1, 2, 3]
    assert viewer.find("#shown").text == "0.30 or more: 3 of 4 marks"
    least = viewer.find("#least")
    least.send_keys(Keys.HOME)
    assert viewer.rows() == [1, 2, 3, 4]
    least.send_keys(*[Keys.ARROW_UP] * 52)
    assert viewer.rows() == [1, 2]
    least.send_keys(Keys.END)
    assert viewer.rows() == []
    assert viewer("return document.querySelector('tr[aria-current]')") is None


def colours_of(viewer, name="axial"):
    """The colours that are no grey in a picture: how many pixels, and the parts of width and height they reach."""
    script = """
        const canvas = document.querySelector(arguments[0] + " canvas");
        const [width, height] = [canvas.width, canvas.height];
        const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const found = {};
        for (let k = 0; k < data.length; k += 4) {
          const colour = data.slice(k, k + 3);
          if (Math.max(...colour) - Math.min(...colour) <= 60) continue;
          const of = found[colour.join()] ??= { count: 0, left: 1, bottom: 0 };
          of.count += 1;
          of.left = Math.min(of.left, ((k / 4) % width) / width);
          of.bottom = Math.max(of.bottom, Math.ceil((k / 4 + 1) / width) / height);
        }
        return found;
    """
    return viewer(script, f"#{name}")


BEST_COLOUR, SECOND_COLOUR, LAST_COLOUR = "255,113,56", "255,201,42", "120,171,212"


def test_the_better_mark_is_never_under_the_worse(viewer):
    """Its box is whole, whether the other is drawn or not; the other's is not."""
    from selenium.webdriver import Keys

    both = colours_of(viewer)
    assert both[SECOND_COLOUR]["count"] > 20
    viewer.find("#least").send_keys(Keys.HOME, *[Keys.ARROW_UP] * 60)
    alone = colours_of(viewer)
    assert alone[BEST_COLOUR] == both[BEST_COLOUR]
    assert SECOND_COLOUR not in alone
    viewer.find("#boxes").click()
    assert colours_of(viewer) == {}


def test_boxes_enclose_their_marks_in_each_plane(viewer):
    """By their left and lower edges, for the number is at the upper right one. Mark 1 is at 16, 40, 90, 12 mm wide."""
    from selenium.webdriver import Keys

    viewer.find("#least").send_keys(Keys.HOME, *[Keys.ARROW_UP] * 60)
    z_mm, y_mm, x_mm = (24 - 16.5) * 2.5, 40.5 * 1.2, 90.5 * 1.2  # from the head, the front, the right
    above_mm = (100 - 60) / 2  # a picture is 100 mm high at least
    edges = {
        "axial": ((x_mm - 6) / 156, (y_mm + 6) / 132),
        "coronal": ((x_mm - 6) / 156, (above_mm + z_mm + 6) / 100),
        "sagittal": ((y_mm - 6) / 132, (above_mm + z_mm + 6) / 100),
    }
    for name, edge in edges.items():
        box = colours_of(viewer, name)[BEST_COLOUR]
        assert (box["left"], box["bottom"]) == pytest.approx(edge, abs=0.015), name


def test_a_mark_beyond_the_part_that_is_seen_leaves_no_number_at_its_edge(viewer):
    from selenium.webdriver import Keys

    viewer.find("#least").send_keys(Keys.HOME)
    viewer.find("button[data-mark='3']").click()  # close up; mark 4 is in the same slice, 72 mm to the front
    assert LAST_COLOUR not in colours_of(viewer)
    for _ in range(2):
        viewer.find("#farther").click()
    assert LAST_COLOUR in colours_of(viewer)


def test_a_click_on_two_boxes_chooses_the_better(viewer):
    viewer.click("axial", 91.5 / 130, 41.5 / 110)
    assert viewer("return document.querySelector('tr[aria-current]').id") == "row-1"
    viewer("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'n', bubbles: true}))")
    assert viewer("return document.querySelector('tr[aria-current]').id") == "row-2"
