"""What the chips of a compiled program say to each other: kind, bytes, group and origin of each collective."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from medssl_jax.plan.hlo import Instruction

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")


class Collective(NamedTuple):
    """One exchange: `stored_bytes` of the whole array on one chip, shared by `group` chips, `runs` times a step.

    The whole array is what an all-gather gives, what a reduce-scatter takes, and either of the others.
    """

    kind: str
    stored_bytes: int
    group: int
    runs: int
    op_name: str

    @property
    def sent_bytes(self) -> float:
        """What each chip sends a step, by the ring algorithms (Patarasuk and Yuan, JPDC 69, 2009)."""
        share = (self.group - 1) / max(1, self.group)
        rounds = {"all-reduce": 2 * share, "collective-permute": 1.0}.get(self.kind, share)
        return self.runs * self.stored_bytes * rounds

    def among(self, chips: int, of: int) -> "Collective":
        """The same among `chips` instead of `of`: a gradient stays as large, a gathered batch grows.

        Groups smaller than the whole, such as those of MixUp, stay as they are.
        """
        if self.group != of:
            return self
        growth = chips / of if self.kind in ("all-gather", "all-to-all") else 1
        return self._replace(group=chips, stored_bytes=round(self.stored_bytes * growth))


def read_collectives(instructions: Iterable[Instruction], chips: int) -> list[Collective]:
    """The collectives of a program for `chips`, in its order; the two halves of an asynchronous one are one."""
    return [
        Collective(kind, _whole_bytes(kind, line), _group(line, chips), line.runs, line.op_name)
        for line in instructions
        if (kind := line.opcode.removesuffix("-start")) in KINDS
    ]


def _whole_bytes(kind: str, line: Instruction) -> int:
    taken = sum(array.stored_bytes for operand in line.operands for array in operand)
    # An asynchronous start gives its operands back beside its results, and tokens.
    if kind == "all-gather":
        return sum(array.stored_bytes for array in line.results) - (taken if line.opcode.endswith("-start") else 0)
    return taken


def _group(line: Instruction, chips: int) -> int:
    if pairs := re.search(r"source_target_pairs=\{(\{[^=]*\})\}", line.attributes):
        return len(set(re.findall(r"\d+", pairs[1])))
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line.attributes):
        return len(listed[1].split(","))
    if counted := re.search(r"replica_groups=\[(\d+),(\d+)\]", line.attributes):
        return int(counted[2])
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", line.attributes):
        sides = {name: int(side) for name, side in re.findall(r"'([^']*)'=(\d+)", named[1])}
        axes = re.findall(r"'([^']*)'(?::\(\d+\)(\d+))?", named[2])
        return math.prod(int(part) if part else sides[name] for name, part in axes)
    return chips
