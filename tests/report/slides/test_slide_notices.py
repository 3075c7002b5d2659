"""What was not read, and what looks unlike the training slides, is said on the terminal, the page and in the JSON."""

import numpy as np
import pytest

from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics, Spread
from medssl_jax.report.slides.slide_notices import SlideReading, reading_notices
from medssl_jax.report.slides.slide_page import slide_page, thumbnail
from medssl_jax.report.slides.slide_report import results_as_json, summary

TRAINING = AppearanceStatistics(brightness=Spread(0.05, 0.01), tissue=Spread(0.5, 0.1))
WHOLE = SlideReading(1.0, 1, Appearance(0.05, 0.5))
STAINED = SlideReading(0.1592, 3, Appearance(0.8, 1.0))
PREPARED = SlideReading(None, 3, Appearance(0.05, 0.5))


@pytest.fixture(scope="module")
def page_of(read_page):
    picture = thumbnail(np.zeros((4, 4), np.uint8))
    return lambda report: read_page(slide_page(report, {result.name: picture for result in report.results}))


def test_a_whole_grey_slide_like_those_of_training_needs_no_notice():
    assert reading_notices({"whole": WHOLE}, TRAINING) == []


@pytest.mark.parametrize(
    ("readings", "notices"),
    [
        (
            [STAINED],
            [
                "only the centre crop was read of 1 slide: 15.9 % of the area",
                "only green was read of the three channels of 1 slide",
            ],
        ),
        (
            [SlideReading(0.25, 1, WHOLE.appearance), WHOLE, SlideReading(0.0561, 1, WHOLE.appearance)],
            ["only the centre crop was read of 2 slides: 5.6 % to 25.0 % of the area"],
        ),
        (
            [WHOLE._replace(low_rows=4), WHOLE],
            ["the low-resolution image of 1 slide is an approximation: of 4 rows a pixel"],
        ),
        (
            [PREPARED, PREPARED],
            [
                "not known: what share of the area was read of 2 slides, which a script had cut before",
                "only green was read of the three channels of 2 slides",
            ],
        ),
    ],
)
def test_what_was_not_read_is_said(readings, notices):
    assert reading_notices({str(place): reading for place, reading in enumerate(readings)}, TRAINING) == notices


def test_a_run_without_a_record_of_its_slides_says_so():
    (notice,) = reading_notices({"whole": WHOLE}, None)
    assert notice.startswith("not known: whether these slides look as those the classifier was trained on")
    assert reading_notices({}, None) == []


def test_all_three_places_tell_of_a_slide_of_another_kind(slide_report, slide_result, page_of):
    readings = {"stained": STAINED, "whole": WHOLE}
    report = slide_report(results=tuple(map(slide_result, readings)), readings=readings, training=TRAINING)
    words = (
        "nlike the training slides, its class means little: brightness 0.800, there 0.050 with a deviation of 0.010; "
        "tissue 1.000, there 0.500 with a deviation of 0.100"
    )
    assert f"stained: u{words}" in summary(report).splitlines()
    assert "only green was read of the three channels of 1 slide" in summary(report).splitlines()

    page = page_of(report)
    stained, whole = (" ".join(card["words"]) for card in page.cards)
    assert f"U{words}." in stained
    assert "nlike" not in whole
    assert "1 slide looks unlike those of training: marked below." in page.text
    assert "Only green was read of the three channels of 1 slide." in page.text
    assert "Only the centre crop was read of 1 slide: 15.9 % of the area." in page.text

    written = results_as_json(report)
    assert written["training_slides"] == TRAINING.as_json()
    assert [slide["read"] for slide in written["slides"]] == [
        {
            **{"share_of_area": 0.1592, "channels": 3, "channel_read": "green", "brightness": 0.8, "tissue": 1.0},
            "low_resolution_rows": None,
            "far_from_training_slides": ["brightness", "tissue"],
        },
        {
            **{"share_of_area": 1.0, "channels": 1, "channel_read": "grey", "brightness": 0.05, "tissue": 0.5},
            "low_resolution_rows": None,
            "far_from_training_slides": [],
        },
    ]


def test_what_is_not_known_is_null(slide_report, slide_result, page_of):
    report = slide_report(results=(slide_result("prepared"),), readings={"prepared": PREPARED}, training=None)
    written = results_as_json(report)
    assert written["training_slides"] is None
    read = written["slides"][0]["read"]
    assert (read["share_of_area"], read["far_from_training_slides"]) == (None, None)
    assert "not known: whether these slides look" in summary(report)
    assert "Not known: whether these slides look" in page_of(report).text
    assert "looks unlike" not in page_of(report).text
