"""The page as a reader of HTML finds it: a card a slide, attention where the HRN ran, nothing from outside."""

import numpy as np
import pytest

from medssl_jax.core.atomic import write_text
from medssl_jax.report.slides.slide_page import (
    ATTENTION_FULL,
    ATTENTION_OPACITY,
    THUMBNAIL_SIDE,
    draw_attention,
    slide_page,
    thumbnail,
)
from medssl_jax.report.slides.slide_report import ClassifierCard


@pytest.fixture(scope="module")
def page_of(read_page):
    picture_of_all = thumbnail(np.random.default_rng(0).integers(0, 60, (40, 40)).astype(np.uint8))

    def make(report):
        page = read_page(slide_page(report, {result.name: picture_of_all for result in report.results}))
        assert page.images == [image for card in page.cards for image in card["images"]]
        return page

    return make


def test_a_card_a_slide_and_attention_only_where_the_hrn_ran(slide_report, page_of, picture):
    settled, sent, black = page_of(slide_report()).cards
    assert [card["classes"] for card in (settled, sent, black)] == [
        ["low", "class-0"],
        ["high", "class-2"],
        ["low", "class-0"],
    ]
    assert [len(card["images"]) for card in (settled, sent, black)] == [1, 2, 1]
    assert {"0.950", "-"} <= set(settled["words"])
    assert {"0.600", "0.700"} <= set(sent["words"])
    assert "background," in black["words"]
    overlay = picture(sent["images"][1])
    assert overlay.shape == (4, 4, 4)
    assert np.argwhere(overlay[..., 3]).tolist() == [[1, 2], [3, 0]]


def test_it_reads_offline(slide_report, page_of):
    page = page_of(slide_report())
    assert all(image["alt"].endswith(".") for image in page.images)
    assert all(image["src"].startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for image in page.images)
    assert "url(" not in page.style
    assert "http" not in page.style


def test_every_choice_is_in_the_style(slide_report, page_of):
    page = page_of(slide_report())
    assert page.choices == [
        *("route-all", "route-low", "route-high"),
        *("class-all", "class-0", "class-1", "class-2", "class-3", "attention"),
    ]
    for choice in page.choices:
        assert choice.endswith("-all") or f"#{choice}:" in page.style


def test_one_slide_needs_no_choice_and_no_overview(slide_report, slide_result, page_of):
    page = page_of(slide_report(results=(slide_result("only"),), refused={}))
    assert "Class of only" in page.text
    assert page.choices == []
    assert "Overview" not in page.text
    assert "could not be read" not in page.text


def test_what_it_is_not_is_said(slide_report, page_of):
    text = page_of(slide_report()).text
    assert "not a medical device" in text
    assert "has never seen a real one" in text
    assert "These slides are synthetic" not in text
    assert "These slides are synthetic" in page_of(slide_report(are_phantom_slides=True)).text
    real = slide_report(classifier=ClassifierCard("lks", 1, {"data": {}, "inference": {}}, "a demonstration of few"))
    assert "a demonstration of few" in page_of(real).text
    assert "phantom" not in page_of(real).text


def test_files_that_were_not_read_are_named(slide_report, page_of):
    text = page_of(slide_report()).text
    assert "1 file could not be read" in text
    assert "bad.tif: not a TIFF" in text


def test_overview_counts_class_and_route(slide_report, page_of):
    text = page_of(slide_report()).text
    assert "Neg 2 0 2 AMA 0 0 0 SMA-V 0 1 1 SMA-T 0 0 0 All 2 1 3" in text


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("low", "Switch the low-resolution network (LRN) gives the class Settled"),
        ("high", "Switch the high-resolution network (HRN) gives the class Settled"),
        ("confidence", "largest probability is above c = 0.85, else the high-resolution network (HRN)"),
        ("policy", "a policy network chooses"),
        ("deferral", "asks the high-resolution network (HRN) where that is foretold to gain most"),
    ],
)
def test_every_rule_has_words(slide_report, rule, words, page_of):
    assert words in page_of(slide_report(rule=rule, c=0.85)).text


def test_names_cannot_break_the_page(slide_report, slide_result, page_of):
    name = '<script>alert("1")</script> & $footer'
    page = page_of(slide_report(results=(slide_result(name),) * 2, refused={"x": f"{name}: no"}))
    assert page.text.count(name) == 3


def test_no_slide_is_a_page_too(slide_report, page_of):
    page = page_of(slide_report(results=()))
    assert page.cards == []
    assert "bad.tif" in page.text


def test_attention_is_shown_in_means_over_the_foreground():
    attention = np.array([0.0, 0.25, 0.75, 0.0], np.float32)
    few, many = np.arange(4) < 4, np.ones(4, bool)
    np.testing.assert_array_equal(draw_attention(attention, few), draw_attention(attention, many))
    opacity = draw_attention(attention, many)[..., 3].ravel()
    assert opacity.tolist() == pytest.approx(255 * ATTENTION_OPACITY * attention * 4 / ATTENTION_FULL, abs=0.51)
    single = draw_attention(np.eye(1, 1600, 5, dtype=np.float32)[0], np.ones(1600, bool))
    assert single[0, 5, 3] == round(255 * ATTENTION_OPACITY)
    assert (draw_attention(np.zeros(4, np.float32), np.zeros(4, bool))[..., 3] == 0).all()


def test_thumbnails_of_all_slides_are_brightened_alike(picture):
    grey = [picture({"src": thumbnail(np.full((400, 400), level, np.uint8))}) for level in (0, 16, 64, 255)]
    assert {image.shape for image in grey} == {(THUMBNAIL_SIDE, THUMBNAIL_SIDE)}
    np.testing.assert_allclose([image.mean() for image in grey], [0, 63.9, 127.7, 255], atol=1.5)
    assert picture({"src": thumbnail(np.zeros((64, 64), np.uint8))}).shape == (64, 64)


def test_a_page_of_a_thousand_slides_stays_small(slide_report, slide_result, tmp_path):
    low_resolution = np.random.default_rng(0).gamma(2, 8, (1000, 1000)).clip(0, 255).astype(np.uint8)
    names = [f"slide{place}" for place in range(1000)]
    report = slide_report(results=tuple(slide_result(name) for name in names))
    page = slide_page(report, dict.fromkeys(names, thumbnail(low_resolution)))
    write_text(tmp_path / "results.html", page)
    assert (tmp_path / "results.html").stat().st_size < 40e6
    assert [path.name for path in tmp_path.iterdir()] == ["results.html"]
