"""What a training step costs on its devices: bytes, work, exchanges and the seconds that the roofline gives."""

from collections.abc import Sequence
from typing import NamedTuple

from medssl_jax.plan.chips import Chip
from medssl_jax.plan.collectives import Collective
from medssl_jax.plan.roofline import Scaled, StepSeconds, Work


class Memory(NamedTuple):
    """Bytes on one chip. `arguments` are the state and its patches, `peak` all that is held at once."""

    parameters: int
    arguments: int
    temporaries: int
    program: int
    peak: int
    limit: int | None


class Plan(NamedTuple):
    """A compiled step, seen from one of its `chips`; no seconds and no scaling where the chip's figures are unknown."""

    name: str
    chips: int
    chip: Chip | None
    labelled_batch: int
    unlabelled_batch: int
    dtype: str
    remat: bool
    memory: Memory
    work: Work
    compile_seconds: float
    seconds: StepSeconds | None
    scaling: list[Scaled]


def collectives_by_origin(collectives: Sequence[Collective]) -> list[Collective]:
    """Collectives of one kind, group and origin added up, the largest first; `runs` is then how many there are."""
    totals: dict[tuple[str, int, str], list[int]] = {}
    for each in collectives:
        total = totals.setdefault((each.kind, each.group, each.op_name), [0, 0])
        total[0] += each.runs
        total[1] += each.runs * each.stored_bytes
    added = [Collective(kind, size, group, runs, name) for (kind, group, name), (runs, size) in totals.items()]
    return sorted(added, key=lambda each: -each.stored_bytes)
