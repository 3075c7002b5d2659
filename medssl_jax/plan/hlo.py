"""The instructions of a compiled program, read from its HLO text, and the bytes that arrays take on a chip."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(ENTRY )?%([\w.\-]+) \(.*\{$")
# NAME = TYPE OPCODE(OPERANDS), ATTRIBUTES
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*?)\)(?=$|, )(.*)$")
# f32[4,8]{1,0:T(8,128)S(1)}: bits, sides, axes from the minor one to the major one, tile, space. Tokens have no bits.
_ARRAY = re.compile(r"(?:pred|[a-z]+(\d+)\w*)\[([\d,]*)\](?:\{([\d,]*)(?::([^{}]*))?\})?")


class Instruction(NamedTuple):
    """An instruction; `arguments` are what is written in its brackets: operands, or the number of a parameter."""

    name: str
    hlo_type: str
    opcode: str
    arguments: str
    attributes: str
    is_root: bool

    @property
    def operands(self) -> list[str]:
        """The names of the instructions that it takes the results of."""
        return re.findall(r"%([\w.\-]+)", self.arguments)

    def called(self, attribute: str) -> list[str]:
        """The names of the computations that an attribute such as `body` or `branch_computations` refers to."""
        found = re.search(rf"\b{attribute}=(?:\{{([^}}]*)\}}|(%[\w.\-]+))", self.attributes)
        return re.findall(r"%([\w.\-]+)", found[1] or found[2]) if found else []


Computation = Mapping[str, Instruction]


class Program(NamedTuple):
    """Computations by name, each with its instructions by name, and which one is run."""

    computations: Mapping[str, Computation]
    entry: str


def read_program(hlo: str) -> Program:
    """The program of an HLO text such as `compiled.as_text()`."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry = ""
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            inside = computations[header[2]] = {}
            entry = header[2] if header[1] else entry
        elif found := _INSTRUCTION.match(line):
            root, name, hlo_type, opcode, arguments, attributes = found.groups()
            inside[name] = Instruction(name, hlo_type, opcode, arguments, attributes, bool(root))
    return Program(computations, entry)


def stored_bytes(hlo_type: str, *, off_core: bool = False) -> int:
    """Bytes of the arrays of a type in HLO text as a chip holds them: tiles pad the minor sides.

    With `off_core` only of those that lie in the chip's main memory, none in the fast memory of a core.
    """
    return sum(
        _array_bytes(bits, sides, order, layout)
        for bits, sides, order, layout in _ARRAY.findall(hlo_type)
        if not (off_core and "S(" in layout)
    )


def _array_bytes(bits: str, sides: str, minor_to_major: str, layout: str) -> int:
    tile = re.search(r"T\(([\d,]+)\)", layout)
    lengths, order, widths = (_integers(text) for text in (sides, minor_to_major, tile[1] if tile else ""))
    lengths = [lengths[axis] for axis in order] or lengths[::-1]
    for place, width in enumerate(widths[::-1][: len(lengths)]):
        lengths[place] = -(-lengths[place] // width) * width
    return -(-math.prod(lengths) * int(bits or 8) // 8)  # a predicate takes a byte


def _integers(text: str) -> list[int]:
    return [int(each) for each in text.split(",") if each]
