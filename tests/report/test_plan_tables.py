"""A plan made by hand for a TPU v5e that computes, reads and sends in round numbers of milliseconds."""

import pytest

from medssl_jax.plan.chips import CHIPS
from medssl_jax.plan.collectives import Collective
from medssl_jax.plan.plan import Memory, Plan, Work, least_seconds
from medssl_jax.report.plan_tables import chip_table, plan_text

GIB = 2**30


@pytest.fixture
def made_plan():
    """Four chips of one patch a kind each."""
    chip = CHIPS["TPU v5 lite"]
    work = Work(1_970_000_000_000, 8_190_000_000, (Collective("all-reduce", 2_000_000_000, 4),))
    return Plan(
        name="v5e:2x2",
        title="v5e:2x2: 4 chips, batch 4 + 4, float32, blocks computed again",
        memory=Memory(GIB // 2, GIB, 5 * GIB // 2, GIB // 2, 4 * GIB, chip.memory_bytes),
        work=work,
        seconds=least_seconds(work, chip, "float32"),
    )


def cells(table):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {name: values for name, *values in rows}


def test_memory_is_set_beside_that_of_the_chip_and_work_beside_its_peaks(made_plan):
    table = {name: value for name, (value,) in cells(chip_table([made_plan])).items()}
    assert table["per chip"] == "v5e:2x2"
    assert table["peak memory"] == "4 GiB of 16 GiB (25%)"
    assert table["parameters"] == "0.5 GiB"
    assert table["arithmetic"] == "1.97 TFLOP"
    assert table["sent by all-reduce"] == "3000.000 MB"
    # 1.97 TFLOP at 197 TFLOP/s, 8.19 GB at 819 GB/s, twice 3/4 of 2 GB at 200 GB/s.
    assert table["roofline, arithmetic"] == "10.0 ms"
    assert table["roofline, memory traffic"] == "10.0 ms"
    assert table["roofline, exchange"] == "15.0 ms"


def test_without_figures_of_the_chip_there_are_no_times(made_plan):
    unknown = plan_text([made_plan._replace(seconds={})])
    assert unknown.startswith("v5e:2x2: 4 chips, batch 4 + 4, float32, blocks computed again\n\n")
    assert " ms" not in unknown
    assert "roofline" not in unknown


def test_several_plans_stand_side_by_side(made_plan):
    gather = Collective("all-gather", 4_000_000, 4)
    other = made_plan._replace(name="of no known chip", title="another", seconds={})
    other = other._replace(work=other.work._replace(collectives=(gather,)))
    table = cells(chip_table([made_plan, other]))
    assert table["per chip"] == ["v5e:2x2", "of no known chip"]
    assert table["sent by all-gather"] == ["0.000 MB", "3.000 MB"]
    assert table["sent by all-reduce"] == ["3000.000 MB", "0.000 MB"]
    assert table["roofline, exchange"] == ["15.0 ms", "-"]
    text = plan_text([made_plan, other])
    assert text.index("v5e:2x2: 4 chips") < text.index("another") < text.index("| per chip")
