"""Hand-made numbers: a chip whose peaks are round."""

import pytest

from medssl_jax.plan.chips import CHIPS, Chip
from medssl_jax.plan.collectives import Collective
from medssl_jax.plan.plan import Work, least_seconds

CHIP = Chip("made up", 2e12, 1e12, 2**34, 1e11, 1e10)
GRADIENT = Collective("all-reduce", 10**8, 8)
WORK = Work(3 * 10**12, 2 * 10**11, (GRADIENT,))


def test_each_kind_of_work_has_its_time():
    seconds = least_seconds(WORK, CHIP, "float32")
    assert list(seconds.values()) == pytest.approx((3, 2, 2 * 7 / 8 / 100))
    assert max(seconds, key=seconds.get) == "arithmetic"
    seconds = least_seconds(WORK, CHIP, "bfloat16")
    assert (max(seconds.values()), max(seconds, key=seconds.get)) == (2, "memory traffic")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("TPU v5 lite", "TPU v5e"), ("TPU v5", "TPU v5p"), ("TPU v5p", "TPU v5p"), ("NVIDIA H100 80GB HBM3", "H100")],
)
def test_chips_are_found_by_what_jax_calls_them(kind, name):
    assert CHIPS[kind].name == name


@pytest.mark.parametrize("kind", ["cpu", "NVIDIA H100 PCIe", "NVIDIA A100-SXM4-40GB", "NVIDIA H200 NVL"])
def test_chips_without_listed_figures_are_none(kind):
    assert CHIPS.get(kind) is None


def test_published_figures_agree_with_those_of_whole_pods():
    # A v5e pod of 256: 51.2 TB/s of all-reduce; a v6e one 102.4; a v4 one of 4096: 1.1 PB/s
    assert 256 * CHIPS["TPU v5 lite"].link_bytes_per_second == pytest.approx(51.2e12)
    assert 256 * CHIPS["TPU v6 lite"].link_bytes_per_second == pytest.approx(102.4e12)
    assert 4096 * CHIPS["TPU v4"].link_bytes_per_second == pytest.approx(1.1e15, rel=0.12)
