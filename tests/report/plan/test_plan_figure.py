"""What the picture shows is what the plan says."""

import pytest

from medssl_jax.report.plan.figure import draw_plans, write_plan_figure


def test_bars_end_at_the_peak_below_the_line_of_the_chip(made_plan):
    memory, _ = draw_plans([made_plan, made_plan]).axes
    ends = [bar.get_y() + bar.get_height() for bar in memory.patches]
    assert max(ends) == pytest.approx(made_plan.memory.peak / 2**30)
    assert {path.vertices[0, 1] for line in memory.collections for path in line.get_paths()} == {16}


def test_rates_are_those_of_the_table(made_plan):
    _, rate = draw_plans([made_plan]).axes
    (line,) = rate.get_lines()
    assert list(line.get_xdata()) == [4, 8]
    assert list(line.get_ydata()) == [each.patches_per_second for each in made_plan.scaling]


def test_a_chip_without_figures_says_so(made_plan):
    _, rate = draw_plans([made_plan._replace(chip=None, seconds=None, scaling=[])]).axes
    assert not rate.get_lines()
    assert [text.get_text() for text in rate.texts] == ["no published figures of this chip"]


def test_file_is_a_picture_and_nothing_is_left_beside_it(made_plan, tmp_path):
    write_plan_figure(tmp_path / "plan.png", [made_plan])
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.png"]
