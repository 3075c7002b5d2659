"""The exponent of a curve is the power that its seconds grow by, and the picture tells it."""

import pytest

from experiments.benchmarks.bench import Cost
from experiments.benchmarks.growth_figure import Curve, draw_growth
from medssl_jax.report.figure_style import write_figure


def curve(power, work="work"):
    """Three calls at each amount, of which one was slow; the wall's seconds tell nothing."""
    amounts = (10, 100, 1000)
    costs = tuple((Cost(1.0, 3 * n**power), Cost(9.0, 30.0 * n**power), Cost(5.0, 3 * n**power)) for n in amounts)
    return Curve(work, "scans", amounts, costs)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_is_that_of_the_seconds(power):
    assert curve(power).exponent == pytest.approx(power, abs=1e-9)


def test_the_picture_names_each_curve_beside_a_linear_one(tmp_path):
    figure = draw_growth([curve(1.0, "score"), curve(0.5, "cache")])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        *("score: scans to the power 1.00", "cache: scans to the power 0.50", "linear")
    ]
    score, cache, linear = axes.lines
    assert list(score.get_ydata()) == pytest.approx([1, 10, 100])
    assert list(cache.get_ydata()) == pytest.approx([1, 10**0.5, 10])
    assert list(linear.get_ydata()) == [1, 100]
    write_figure(tmp_path / "growth.png", figure)
    assert (tmp_path / "growth.png").stat().st_size > 10_000
