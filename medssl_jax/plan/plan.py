"""The plan of a training step: bytes, work and exchanges of one of its chips, and its least time by the roofline.

The roofline (Williams et al., CACM 52, 2009) is a bound, not a forecast: it takes every unit of the chip as busy all
the time, and all three kinds of work as overlapping.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medssl_jax.plan.chips import Chip
from medssl_jax.plan.collectives import Collective


class Memory(NamedTuple):
    """Bytes on one chip. `arguments` are the state and its patches, `peak` all that is held at once."""

    parameters: int
    arguments: int
    temporaries: int
    program: int
    peak: int
    limit: int | None


class Work(NamedTuple):
    """The work of one chip in one step, every loop as one round: arithmetic by XLA's count, the rest by ours."""

    flops: float
    bytes_moved: float
    collectives: Sequence[Collective]


class Plan(NamedTuple):
    """A compiled step as one of its chips sees it; no `seconds` where the chip's peak figures are unknown."""

    name: str
    title: str
    memory: Memory
    work: Work
    seconds: Mapping[str, float]


def least_seconds(work: Work, chip: Chip, dtype: str) -> dict[str, float]:
    """The least seconds of each kind of work on `chip` that computes in `dtype`; a step takes the longest of them."""
    peak_flops = chip.peak_bfloat16_flops if dtype == "bfloat16" else chip.peak_float32_flops
    return {
        "arithmetic": work.flops / peak_flops,
        "memory traffic": work.bytes_moved / chip.memory_bytes_per_second,
        "exchange": sum(each.sent_bytes for each in work.collectives) / chip.link_bytes_per_second,
    }
