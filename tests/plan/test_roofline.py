"""Hand-made numbers: a chip whose peaks are round."""

import pytest

from medssl_jax.plan.chips import TPUS, Chip, chip_of_kind
from medssl_jax.plan.collectives import Collective
from medssl_jax.plan.roofline import Work, step_seconds, weak_scaling

CHIP = Chip("made up", 2e12, 1e12, 2**34, 1e11, 1e10, "nowhere")
GRADIENT = Collective("all-reduce", 10**8, 8, 1, "")
WORK = Work(3 * 10**12, 2 * 10**11, (GRADIENT,))


def test_the_step_takes_the_longest_of_three():
    seconds = step_seconds(WORK, CHIP, "float32")
    assert seconds == pytest.approx((3, 2, 2 * 7 / 8 / 100))
    assert (seconds.step, seconds.bound) == (3, "compute")
    seconds = step_seconds(WORK, CHIP, "bfloat16")
    assert (seconds.step, seconds.bound) == (2, "memory")


def test_chips_above_the_smallest_batch_bring_as_many_patches_a_second_each():
    scaling = weak_scaling(WORK, CHIP, "float32", chips=8, patches=16, smallest_batch=16, counts=(4, 8, 16, 256))
    assert [each.patches for each in scaling] == [16, 16, 32, 512]
    # Half as many chips have twice as much to do.
    assert [each.seconds.step for each in scaling] == pytest.approx([6, 3, 3, 3])
    assert [each.patches_per_second / each.chips for each in scaling] == pytest.approx([2 / 3] * 4)
    assert scaling[-1].seconds.exchange == pytest.approx(2 * 255 / 256 / 100)


def test_a_step_that_waits_for_others_scales_worse():
    gather = Collective("all-gather", 10**10, 8, 1, "")
    few, many = weak_scaling(
        Work(10**9, 10**9, (gather,)), CHIP, "float32", chips=8, patches=16, smallest_batch=16, counts=(8, 64)
    )
    assert many.seconds.bound == "exchange"
    assert many.patches_per_second / 64 < 0.2 * few.patches_per_second / 8


@pytest.mark.parametrize(
    ("kind", "name"), [("TPU v5 lite", "TPU v5e"), ("TPU v5", "TPU v5p"), ("NVIDIA H100 80GB HBM3", "H100")]
)
def test_chips_are_found_by_what_jax_calls_them(kind, name):
    chip = chip_of_kind(kind)
    assert chip is not None
    assert chip.name == name


@pytest.mark.parametrize("kind", ["cpu", "NVIDIA H100 PCIe", "NVIDIA A100-SXM4-40GB", "NVIDIA H200 NVL"])
def test_chips_without_listed_figures_are_none(kind):
    assert chip_of_kind(kind) is None


def test_published_figures_agree_with_those_of_whole_pods():
    # A v5e pod of 256: 51.2 TB/s of all-reduce; a v6e one 102.4; a v4 one of 4096: 1.1 PB/s (pages in chips.py).
    assert 256 * TPUS["v5e"].link_bytes_per_second == pytest.approx(51.2e12)
    assert 256 * TPUS["v6e"].link_bytes_per_second == pytest.approx(102.4e12)
    assert 4096 * TPUS["v4"].link_bytes_per_second == pytest.approx(1.1e15, rel=0.12)
