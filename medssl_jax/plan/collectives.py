"""The exchanges between the chips of a compiled program, read from its HLO text."""

import math
import re
from typing import NamedTuple

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")
# NAME = TYPE OPCODE(OPERANDS), ATTRIBUTES
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*?)\)(?=$|, )(.*)$", re.MULTILINE)
# f32[4,8]{1,0:T(8,128)}: bits, sides, axes from the minor one to the major one, tile. Tokens have no bits.
_ARRAY = re.compile(r"(?:pred|[a-z]+(\d+)\w*)\[([\d,]*)\](?:\{([\d,]*)(?::[^{}]*?T\(([\d,]+)\))?)?")


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


def read_collectives(hlo: str, chips: int) -> list[Collective]:
    """The collectives of a program for `chips`, each once, however often a loop runs it, in two halves or in one."""
    instructions = _INSTRUCTION.findall(hlo)
    types = {name: hlo_type for name, hlo_type, *_ in instructions}
    found = []
    for _, result, opcode, operands, attributes in instructions:
        if (kind := opcode.removesuffix("-start")) in KINDS:
            taken = sum(stored_bytes(types[name]) for name in re.findall(r"%([\w.\-]+)", operands))
            given = stored_bytes(result) - (taken if opcode != kind else 0)  # a start gives its operands back as well
            found.append(Collective(kind, given if kind == "all-gather" else taken, _group(attributes, chips)))
    return found


def stored_bytes(hlo_type: str) -> int:
    """Bytes of the arrays of a type in HLO text as a chip holds them: tiles pad the minor sides."""
    return sum(_array_bytes(*array) for array in _ARRAY.findall(hlo_type))


def _array_bytes(bits: str, sides: str, minor_to_major: str, tile: str) -> int:
    lengths, order, widths = ([int(each) for each in text.split(",") if each] for text in (sides, minor_to_major, tile))
    lengths = [lengths[axis] for axis in order] or lengths[::-1]
    for place, width in enumerate(widths[::-1][: len(lengths)]):
        lengths[place] = -(-lengths[place] // width) * width
    return -(-math.prod(lengths) * int(bits or 8) // 8)  # a predicate takes a byte


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
