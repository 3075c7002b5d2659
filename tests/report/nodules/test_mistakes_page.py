"""The page pictures each mistake where it is, in its own scan, and no more of them than fit."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.nodules.froc import score
from medssl_jax.metrics.nodules.mistakes import find_mistakes
from medssl_jax.report.nodules import mistakes_page as module
from medssl_jax.report.nodules.mistakes_page import Seen, mistakes_page, threshold_of

PNG = b"\x89PNG"
SERIES = ("1.2.1", "1.2.2")
MISSED_XYZ_MM, FALSE_XYZ_MM = (-20.0, -10.0, 105.0), (-5.0, 15.0, 130.0)
ORIGIN_XYZ_MM = (-40.0, -40.0, 80.0)


def scan_of(series_uid):
    """Lung; in the second scan a bright ball of 4 mm at each of the two places."""
    grid = Grid((70, 80, 80), (1.0, 1.0, 1.0), ORIGIN_XYZ_MM)
    hu = np.full(grid.size_zyx, -850, np.int16)
    z, y, x = np.indices(hu.shape)
    for place in (MISSED_XYZ_MM, FALSE_XYZ_MM) if series_uid == SERIES[1] else ():
        dx, dy, dz = (index - at + start for index, at, start in zip((x, y, z), place, ORIGIN_XYZ_MM, strict=True))
        hu[dx**2 + dy**2 + dz**2 <= 4] = 100
    return Seen(hu, grid)


def scored(false=1, hit=0.7):
    """One nodule of the first scan found, one of the second missed; `false` marks on none."""
    annotations = Findings(SERIES, np.array([[0.0, 0, 100], MISSED_XYZ_MM]), np.array([8.0, 6.0]))
    centres = np.array([[0.0, 0, 100], *[FALSE_XYZ_MM] * false])
    marks = Marks((SERIES[0], *[SERIES[1]] * false), centres, np.array([hit, *np.linspace(0.9, 0.8, false)]))
    result = score(marks, annotations, None, SERIES, bootstraps=20)
    return result, find_mistakes(marks, annotations, Findings.none(), SERIES, threshold=threshold_of(result))


def made(result, mistakes, opens=scan_of):
    return mistakes_page("<b> + $title", result, mistakes, froc_png=PNG, scan_of=opens, seen_as="the scans")


def test_each_mistake_lies_bright_in_the_middle_of_its_three_slices(read_page, picture):
    page = read_page(made(*scored()))
    froc, *slices = page.images
    assert froc["src"].startswith("data:image/png")
    assert len(slices) == 6
    assert [image["alt"].split()[0] for image in slices] == ["Axial", "Coronal", "Sagittal"] * 2
    for image in slices:
        grey = picture(image)
        middle = grey.shape[0] // 2
        assert grey[middle, middle] > 220
        assert np.median(grey) < 110
        assert (grey > 180).sum() < 200  # the ball, 3 pixels a mm, and nothing else
    missed, false = page.cards
    assert {"6.0", "-20.0,", "-10.0,", "105.0"} <= set(missed["words"])
    assert {"0.900", "-5.0,", "15.0,", "130.0"} <= set(false["words"])
    assert "Without a mark of the score at 1 FP/scan: 1 of 2." in page.text
    assert "<b> + $title" in page.text
    assert all(address.startswith("data:") for address in page.addresses)


def test_pictures_in_another_window_of_larger_voxels(read_page, picture):
    """Voxels of 2 mm: the same places, as wide in mm; -850 HU is black, and 100 is not."""

    def halved(series_uid):
        seen = scan_of(series_uid)
        grid = dataclasses.replace(seen.grid, size_zyx=(35, 40, 40), spacing_zyx_mm=(2.0,) * 3)
        return Seen(np.ascontiguousarray(seen.hu_zyx[::2, ::2, ::2]), grid)

    options = {"froc_png": PNG, "seen_as": "the scans"}
    page = read_page(mistakes_page("x", *scored(), scan_of=halved, window_hu=(-200.0, 400.0), **options))
    assert "the scans; -200 to 400 HU from black to white" in page.text
    for image in page.images[1:]:
        assert "slice, 52 mm wide, with a box of" in image["alt"] or "slice, 50 mm wide" in image["alt"]
        grey = picture(image)
        middle = grey.shape[0] // 2
        assert grey[middle - 6 : middle + 7, middle - 6 : middle + 7].max() > 90
        assert np.median(grey) < 5


def test_scans_are_opened_once_and_only_where_there_is_a_mistake(monkeypatch, read_page):
    monkeypatch.setattr(module, "MOST", 2)
    opened = []
    html = made(*scored(false=3, hit=0.95), opens=lambda uid: opened.append(uid) or scan_of(uid))
    assert opened == [SERIES[1]]
    page = read_page(html)
    assert len(page.cards) == 1 + 2
    assert "Marks on no nodule and no excluded finding: 3; the first 2 are shown." in page.text


@pytest.mark.parametrize(("false", "threshold"), [(1, 0.7), (2, 0.7), (3, np.inf)])
def test_the_threshold_is_that_of_one_false_positive_a_scan(false, threshold):
    """Three of the same score in two scans are more than one a scan from that score on."""
    result, _ = scored(false)
    if false == 3:
        probability = np.where(result.outcome.entry_is_hit, 0.7, 0.9)
        result = dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, entry_score=probability))
    assert threshold_of(result) == threshold


def test_nothing_to_show_is_a_page_too(read_page):
    annotations = Findings(("a",), np.zeros((1, 3)), np.array([8.0]))
    marks = Marks(("a",), np.zeros((1, 3)), np.array([0.7]))
    result = score(marks, annotations, None, ("a",), bootstraps=20)
    mistakes = find_mistakes(marks, annotations, Findings.none(), ("a",), threshold=threshold_of(result))
    page = read_page(made(result, mistakes))
    assert page.cards == []
    assert "Without a mark of the score at 1 FP/scan: 0 of 1." in page.text
