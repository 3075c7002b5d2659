"""What the picture shows is what was scored."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.nodules.froc_figure import draw_froc


def test_axes_are_eighth_to_eight_by_twos_and_zero_to_one(froc_results):
    (axes,) = draw_froc(froc_results).axes
    assert (axes.get_xscale(), axes.get_xlim(), axes.get_ylim()) == ("log", (0.125, 8), (0, 1))
    assert list(axes.get_xticks()) == list(FPS_PER_SCAN)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]


def test_other_rates_are_on_the_axis(froc_results):
    result = froc_results["FocalMix"]
    curve = dataclasses.replace(result.curve, fps_per_scan=result.curve.fps_per_scan / 64)
    rates = (*(rate / 64 for rate in FPS_PER_SCAN[:-1]), 0.2)
    (axes,) = draw_froc({"a": dataclasses.replace(result, fps_per_scan=rates, curve=curve)}).axes
    assert axes.get_xlim() == (1 / 512, 0.2)
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        *("1/512", "1/256", "1/128", "1/64", "1/32", "1/16", "0.2")
    ]
    assert axes.get_lines()[0].get_xdata()[0] == 1 / 512


def test_every_result_has_its_curve_its_points_and_its_band(froc_results):
    (axes,) = draw_froc(froc_results).axes
    lines = axes.get_lines()
    for place, result in enumerate(froc_results.values()):
        curve, points = lines[2 * place : 2 * place + 2]
        np.testing.assert_array_equal(curve.get_ydata(), result.curve.sensitivity)
        np.testing.assert_array_equal(points.get_ydata(), result.sensitivity)
        band = axes.collections[place].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == (result.curve.low.min(), result.curve.high.max())
        assert curve.get_color() == points.get_color()
    assert lines[0].get_color() != lines[2].get_color()


def test_cpm_and_interval_are_in_the_title_or_the_legend(froc_results):
    stated = {
        name: f"{name}: CPM {result.cpm:.3f} (95 % interval {result.cpm_interval_95.low:.3f} to "
        f"{result.cpm_interval_95.high:.3f})"
        for name, result in froc_results.items()
    }
    (axes,) = draw_froc(froc_results).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(stated.values())
    (axes,) = draw_froc({"FocalMix": froc_results["FocalMix"]}).axes
    assert axes.get_title().splitlines() == [stated["FocalMix"], "12 nodules in 12 scans, band: 95 % over scans"]
    assert axes.get_legend() is None


def test_file_is_a_picture_and_nothing_is_left_beside_it(froc_results, tmp_path):
    write_figure(tmp_path / "froc.png", draw_froc(froc_results))
    assert (tmp_path / "froc.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["froc.png"]


def test_folder_that_is_not_there_is_named(froc_results, tmp_path):
    with pytest.raises(InputError, match=r"absent/froc\.png: cannot be written"):
        write_figure(tmp_path / "absent" / "froc.png", draw_froc(froc_results))
