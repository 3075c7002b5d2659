"""Pairs, ratios and reports of the benchmark, by a clock that tests set."""

import json

import pytest

from experiments.benchmarks import report
from experiments.benchmarks.bench import Bench, Cost, Measurement, Ratio


class FakeClock:
    """A clock that work moves: `work(seconds, name)` is something to time."""

    def __init__(self):
        self.now, self.done = Cost(0.0, 0.0), []

    def __call__(self):
        return self.now

    def work(self, wall, cpu, name=""):
        walls = iter(wall if isinstance(wall, list) else [])

        def run():
            taken = next(walls) if isinstance(wall, list) else wall
            self.now = Cost(self.now.wall + taken, self.now.cpu + cpu)
            self.done.append(name)

        return run


def test_each_pair_is_timed_in_turns_after_what_does_not_count():
    clock = FakeClock()
    bench = Bench(pairs=3, clock=clock)
    measured = bench.pair("work", clock.work(2.0, 1.0, "a"), "peer", clock.work(1.0, 4.0, "b"))
    assert clock.done == [*"aabb", *"ab", *"ba", *"ab"]
    assert measured.costs == [Cost(2.0, 1.0)] * 3
    assert measured.costs_beside == [Cost(1.0, 4.0)] * 3
    assert (measured.ratio("wall"), measured.ratio("cpu")) == (Ratio(2.0, 2.0, 2.0), Ratio(0.25, 0.25, 0.25))


def test_the_first_calls_do_not_count():
    clock = FakeClock()
    measured = Bench(pairs=2, clock=clock).alone("work", clock.work([60.0, 9.0, 1.0, 3.0], 1.0))
    assert [cost.wall for cost in measured.costs] == [1.0, 3.0]


def test_short_work_is_called_several_times_and_its_cost_is_that_of_one():
    clock = FakeClock()
    measured = Bench(pairs=2, clock=clock).alone("work", clock.work(0.01, 0.02))
    assert len(clock.done) == 2 + 2 * 5
    assert [tuple(cost) for cost in measured.costs] == [pytest.approx((0.01, 0.02))] * 2


def test_work_without_end_of_calls_is_bounded_where_the_clock_does_not_move():
    clock = FakeClock()
    Bench(pairs=1, clock=clock).alone("work", clock.work(0.0, 0.0))
    assert len(clock.done) == 2 + 1000


def paired(ours, theirs, **notes):
    costs, costs_beside = ([Cost(float(each), float(each)) for each in side] for side in (ours, theirs))
    return Measurement("work", costs, "peer", costs_beside, notes)


def test_a_ratio_is_the_median_of_pairs_not_of_sides():
    measured = paired([1, 20, 4], [2, 10, 1])
    assert measured.ratio("cpu") == Ratio(2.0, 0.5, 4.0)


def test_the_table_holds_ratios_with_their_range_and_the_notes():
    rows = report.table([paired([1, 20, 4], [2, 10, 1], peak_MB=1234.5), Measurement("size", notes={"MB": 7.0})])
    header, first, second = rows.splitlines()
    assert header.split()[:3] == ["work", "cpu", "s"]
    assert first.split() == ["work", "4", "4", "peer", "2", "0.5-4", "2", "0.5-4", "peak_MB", "1234"]
    assert second.split() == ["size", "MB", "7"]


def test_json_holds_every_cost_and_ratio():
    measured = paired([1, 20, 4], [2, 10, 1], MB=7.0).as_json()
    text = report.as_json({"load": 1.0}, {"part": {"measured": [measured]}})
    (row,) = json.loads(text)["parts"]["part"]["measured"]
    assert row["costs"][1] == {"wall": 20.0, "cpu": 20.0}
    assert row["cpu_ratio"] == {"median": 2.0, "low": 0.5, "high": 4.0}
    assert (row["beside"], row["notes"]) == ("peer", {"MB": 7.0})


def test_the_machine_is_described_and_the_lack_of_an_accelerator_is_said():
    environment = {
        "code": {"commit": "0123456789abcdef", "is_clean": False},
        "devices": {"platform": "cpu", "kind": "Processor", "count": 1},
        "versions": {"jax": "1.2"},
        "processors": 2,
        "load": 0.5,
    }
    told = report.described(environment)
    assert "commit 0123456789ab with changes" in told
    assert "2 processors, load 0.5; no GPU or TPU here" in told
    assert "no GPU" not in report.described(environment | {"devices": {"platform": "gpu", "kind": "H100", "count": 1}})
