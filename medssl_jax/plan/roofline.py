"""How long a step takes at the least, and how that grows with chips: the roofline (Williams et al., CACM 52, 2009).

A bound, not a forecast: it takes every unit of the chip as busy all the time, and all three kinds of work as
overlapping.
"""

from collections.abc import Sequence
from typing import NamedTuple

from medssl_jax.plan.chips import Chip
from medssl_jax.plan.collectives import Collective


class Work(NamedTuple):
    """What one chip does in one step of `rows` patches each of a kind."""

    flops: int
    bytes_moved: int
    collectives: tuple[Collective, ...]


class StepSeconds(NamedTuple):
    """The three times that overlap; the step takes the longest of them."""

    compute: float
    memory: float
    exchange: float

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return max(self)

    @property
    def bound(self) -> str:
        """What the step waits for."""
        return max(self._fields, key=lambda name: getattr(self, name))


class Scaled(NamedTuple):
    """One number of chips: patches of the global batch and the step's seconds."""

    chips: int
    patches: int
    seconds: StepSeconds

    @property
    def patches_per_second(self) -> float:
        """Training patches of the whole machine."""
        return self.patches / self.seconds.step


def step_seconds(work: Work, chip: Chip, dtype: str) -> StepSeconds:
    """The least seconds of a step on `chip` that computes in `dtype`, float32 or bfloat16."""
    peak = chip.peak_bfloat16_flops if dtype == "bfloat16" else chip.peak_float32_flops
    sent = sum(collective.sent_bytes for collective in work.collectives)
    return StepSeconds(
        work.flops / peak, work.bytes_moved / chip.memory_bytes_per_second, sent / chip.link_bytes_per_second
    )


def weak_scaling(
    work: Work, chip: Chip, dtype: str, *, chips: int, patches: int, smallest_batch: int, counts: Sequence[int]
) -> list[Scaled]:
    """From the work of one of `chips` that share `patches`, that of other numbers of chips.

    Every chip keeps its patches, but no batch is smaller than `smallest_batch`: fewer chips have more patches each, and
    that much more to do.
    """
    scaled = []
    for count in counts:
        batch = max(smallest_batch, patches * count // chips)
        load = batch / count / (patches / chips)
        there = Work(
            round(load * work.flops),
            round(load * work.bytes_moved),
            tuple(collective.among(count, chips) for collective in work.collectives),
        )
        scaled.append(Scaled(count, batch, step_seconds(there, chip, dtype)))
    return scaled
