"""The exchanges between the chips of a compiled program, read from its HLO text."""

import math
import re
from typing import NamedTuple

from medssl_jax.plan.hlo import Computation, Instruction, Program, stored_bytes

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")


class Collective(NamedTuple):
    """An exchange among `group` chips.

    `stored_bytes` are of the whole array: what an all-gather gives, what a reduce-scatter takes, either of the others.
    """

    kind: str
    stored_bytes: int
    group: int

    @property
    def sent_bytes(self) -> float:
        """Bytes that each chip sends, by the ring algorithms (Patarasuk and Yuan, JPDC 69, 2009)."""
        share = (self.group - 1) / max(1, self.group)
        return self.stored_bytes * {"all-reduce": 2 * share, "collective-permute": 1.0}.get(self.kind, share)


def read_collectives(program: Program, chips: int) -> list[Collective]:
    """The collectives of a program for `chips`, each once: however often a loop runs it, and in however many parts.

    A TPU's compiler writes one that runs beside other work into each fusion that it runs beside, under one channel.
    """
    found: dict[str, Collective] = {}
    for computation in program.computations.values():
        for instruction in computation.values():
            if instruction.opcode.removesuffix("-start") in KINDS:
                channel = re.search(r"channel_id=(\d+)", instruction.attributes)
                place = channel[1] if channel else instruction.name
                found.setdefault(place, _collective(computation, instruction, chips))
    return list(found.values())


def _collective(computation: Computation, instruction: Instruction, chips: int) -> Collective:
    kind = instruction.opcode.removesuffix("-start")
    taken = sum(stored_bytes(computation[name].hlo_type) for name in instruction.operands)
    given = stored_bytes(instruction.hlo_type)
    if instruction.opcode != kind:
        given -= taken  # which a start gives back
    return Collective(kind, given if kind == "all-gather" else taken, _group(instruction.attributes, chips))


def _group(attributes: str, chips: int) -> int:
    if pairs := re.search(r"source_target_pairs=\{(\{[^=]*\})\}", attributes):
        return len(set(re.findall(r"\d+", pairs[1])))
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", attributes):
        return len(listed[1].split(","))
    if counted := re.search(r"replica_groups=\[(\d+),(\d+)\]", attributes):
        return int(counted[2])
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", attributes):
        sides = {name: int(side) for name, side in re.findall(r"'([^']*)'=(\d+)", named[1])}
        axes = re.findall(r"'([^']*)'(?::\(\d+\)(\d+))?", named[2])
        return math.prod(int(part) if part else sides[name] for name, part in axes)
    return chips
