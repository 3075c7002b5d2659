"""A plan made by hand for a chip whose figures are known: what its tables say."""

import pytest

from medssl_jax.plan.collectives import Collective
from medssl_jax.report.plan.tables import chip_table, collective_table, plan_text, scaling_table


def cells(table):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {name: values for name, *values in rows}


def test_memory_is_set_beside_that_of_the_chip_and_work_beside_its_peaks(made_plan):
    table = {name: value for name, (value,) in cells(chip_table([made_plan], markdown=True)).items()}
    assert table["per chip"] == "v5e:2x2"
    assert table["peak memory"] == "4 GiB of 16 GiB (25%)"
    assert table["parameters"] == "0.5 GiB"
    assert table["arithmetic"] == "1.97 TFLOP"
    assert table["sent by all-reduce"] == "3000.000 MB"
    # 1.97 TFLOP at 197 TFLOP/s, 8.19 GB at 819 GB/s, twice 3/4 of 2 GB at 200 GB/s.
    assert table["at peak, arithmetic"] == "10.0 ms"
    assert table["at peak, memory traffic"] == "10.0 ms"
    assert table["at peak, exchange"] == "15.0 ms"


def test_without_figures_of_the_chip_there_are_no_times(made_plan):
    unknown = made_plan._replace(chip=None, seconds=None, scaling=[])
    assert "at peak" not in plan_text([unknown])
    assert "roofline" not in plan_text([unknown])


def test_several_plans_stand_side_by_side(made_plan):
    gather = Collective("all-gather", 4_000_000, 4, 1, "step/mix")
    other = made_plan._replace(name="of no known chip", chip=None, seconds=None, scaling=[])
    other = other._replace(work=other.work._replace(collectives=(gather,)))
    table = cells(chip_table([made_plan, other], markdown=True))
    assert table["per chip"] == ["v5e:2x2", "of no known chip"]
    assert table["sent by all-gather"] == ["0.000 MB", "3.000 MB"]
    assert table["sent by all-reduce"] == ["3000.000 MB", "0.000 MB"]
    assert table["at peak, exchange"] == ["15.0 ms", "-"]
    text = plan_text([made_plan, other])
    assert text.index("on v5e:2x2") < text.index("on of no known chip")


@pytest.mark.parametrize(
    ("op_name", "shown"),
    [
        ("jit(step)/a/b/c/reduce_sum", "b/c/reduce_sum"),
        ("jit(step)/(a/b/reduce_sum:a/c/dot:sum)", "a/b/reduce_sum and 2 more"),
        ("jit(step)/reshape;jit(step)/broadcast", "jit(step)/reshape and 1 more"),
        ("", "-"),
    ],
)
def test_collectives_say_where_they_come_from(made_plan, op_name, shown):
    work = made_plan.work._replace(collectives=(Collective("all-reduce", 4_000_000, 4, 2, op_name),))
    (row,) = collective_table(made_plan._replace(work=work), markdown=True).splitlines()[2:]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["all-reduce", shown, "4", "2", "8.000 MB"]


def test_many_small_collectives_are_one_line(made_plan):
    many = tuple(Collective("all-gather", 1000 * place, 4, 1, f"step/{place}") for place in range(1, 21))
    lines = collective_table(made_plan._replace(work=made_plan.work._replace(collectives=many))).splitlines()
    assert lines[1].split()[1] == "step/20"
    assert lines[-1].split() == ["all", "others", "8", "0.036", "MB"]


def test_efficiency_is_measured_by_the_best(made_plan):
    rows = [line.split() for line in scaling_table(made_plan.scaling).splitlines()[1:]]
    assert [row[0] for row in rows] == ["4", "8"]
    assert rows[0][-1] == "100.0%"
    # The gradients of 8 chips: 7/4 of 2 GB instead of 6/4.
    assert float(rows[1][-1].rstrip("%")) == pytest.approx(100 * 15 / 17.5, abs=0.1)
