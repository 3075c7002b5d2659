"""The pictures show what was measured, and the JSON beside them holds it."""

import json

import numpy as np
import pytest

from medssl_jax.metrics.slides.classification import accuracy_of_counts
from medssl_jax.metrics.slides.switching import MeanSeconds, switch_curve
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.json_report import write_json
from medssl_jax.report.slides.sos_figures import (
    FixedMethod,
    SweptMethod,
    SwitchCurves,
    draw_confusions,
    draw_switch_curves,
)

CLASSES = ("Neg", "AMA", "SMA-V", "SMA-T")


@pytest.fixture(scope="module")
def swept():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 30)
    curves = [
        switch_curve(rng.dirichlet(np.ones(4), 30), rng.dirichlet(np.ones(4), 30), label, MeanSeconds(0.5, 4.0))
        for _ in range(2)
    ]
    return {"SOS": SweptMethod(0.9, curves[0], curves[1]), "Cascade": SweptMethod(0.6, curves[1])}


FIXED = {
    "Image-Level": FixedMethod(accuracy_of_counts(20, 30), 1.0, 0.5),
    "Multi-Scale": FixedMethod(accuracy_of_counts(25, 30), 0.0, 4.5),
}


def test_both_panels_have_every_method_and_the_chosen_c(swept):
    figure = draw_switch_curves(SwitchCurves(3, swept, FIXED))
    for axes, x in zip(figure.axes, ("low_share", "seconds_per_slide"), strict=True):
        lines = axes.get_lines()
        for place, method in enumerate(swept.values()):
            curve, chosen = lines[2 * place : 2 * place + 2]
            np.testing.assert_array_equal(curve.get_xdata(), getattr(method.curve, x))
            np.testing.assert_array_equal(curve.get_ydata(), method.curve.accuracy)
            point = method.curve.index_at(method.c)
            assert chosen.get_xdata()[0] == getattr(method.curve, x)[point]
            assert chosen.get_ydata()[0] == method.curve.accuracy[point]
            assert curve.get_color() == chosen.get_color()
        points = {
            (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines[4:] if len(line.get_xdata())
        }
        assert {(getattr(method, x), method.accuracy.value) for method in FIXED.values()} <= points
    assert "seed 3" in figure.get_suptitle()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == ["Cascade, c = 0.6", "Image-Level", "Multi-Scale", "SOS, c = 0.9"]


def test_matrix_says_who_is_a_row_and_shades_by_share():
    confusion = np.array([[8, 2, 0, 0], [0, 1, 0, 0], [1, 0, 3, 0], [0, 0, 0, 0]])
    figure = draw_confusions({"SOS": confusion, "RDMS": confusion.T}, CLASSES)
    first, second = figure.axes
    assert first.get_title() == "SOS: 12 of 15 right"
    assert (first.get_ylabel(), first.get_xlabel()) == ("class of the slide", "class given")
    shown = {text.get_position(): text.get_text() for text in first.texts}
    assert (shown[1, 0], shown[0, 2]) == ("2", "1")  # x is the column
    np.testing.assert_allclose(first.images[0].get_array()[0], [0.8, 0.2, 0, 0])
    np.testing.assert_array_equal(first.images[0].get_array()[3], 0)
    assert [label.get_text() for label in second.get_xticklabels()] == list(CLASSES)


@pytest.mark.parametrize(("methods", "rows"), [(1, 1), (3, 1), (6, 2), (7, 3)])
def test_each_method_has_one_matrix(methods, rows):
    figure = draw_confusions({f"method {k}": np.eye(4, dtype=int) for k in range(methods)}, CLASSES)
    assert len(figure.axes) == methods
    assert figure.axes[0].get_gridspec().nrows == rows


def test_files_are_whole_and_the_json_is_what_is_drawn(swept, tmp_path):
    write_figure(tmp_path / "switch.png", draw_switch_curves(SwitchCurves(3, swept, FIXED)))
    write_json(tmp_path / "switch.json", SwitchCurves(3, swept, FIXED))
    write_figure(tmp_path / "confusion.png", draw_confusions({"SOS": np.eye(4, dtype=int)}, CLASSES))
    for name in ("switch.png", "confusion.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 3
    written = json.loads((tmp_path / "switch.json").read_text())
    assert written["swept"]["SOS"]["c"] == 0.9
    assert written["swept"]["SOS"]["curve"]["accuracy"] == swept["SOS"].curve.accuracy.tolist()
    assert written["seed"] == 3
    validation = swept["SOS"].validation_curve
    assert written["swept"]["SOS"]["validation_curve"]["low_share"] == validation.low_share.tolist()
    assert written["swept"]["Cascade"]["validation_curve"] is None
    assert written["fixed"]["Multi-Scale"]["accuracy"]["value"] == 25 / 30
