"""What a compiled program does, read from its HLO text: instructions, their arrays, and how often each one runs."""

import math
import re
from collections import defaultdict
from typing import NamedTuple

from medssl_jax.core.errors import InputError

# Bits of an element; what has no size of its own, such as a token, is not listed.
_BITS = {"pred": 8, "bf16": 16, "c64": 64, "c128": 128} | {
    f"{kind}{bits}": bits for kind in "suf" for bits in (2, 4, 8, 16, 32, 64)
}
_ARRAY = re.compile(
    r"(?P<dtype>[a-z]+\d*)(?P<variant>[a-z0-9]*)\[(?P<dims>[\d,<=]*)\](?:\{(?P<order>[\d,]*)(?::(?P<layout>[^{}]*))?\})?"
)
_COMPUTATION = re.compile(r"(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\) -> .* \{$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<rest>.*)")
_OPCODE = re.compile(r"\s*(?P<opcode>[a-z][\w\-]*)\(")
_CALLED = re.compile(r"(?:body|condition|to_apply|calls|\w+_computations?)=(?:\{([^}]*)\}|%?([\w.\-]+))")
_TILE = re.compile(r"T\(([\d,]+)\)")


class StoredArray(NamedTuple):
    """An array as a chip holds it; `tile` pads its minor sides, `space` above 0 is memory on the core itself."""

    bits: int
    sides: tuple[int, ...]
    minor_to_major: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    space: int = 0

    @property
    def elements(self) -> int:
        """How many elements it holds, padding left out."""
        return math.prod(self.sides)

    @property
    def stored_bytes(self) -> int:
        """What it takes in memory, padding included."""
        sides = [self.sides[axis] for axis in self.minor_to_major] or list(reversed(self.sides))
        for place, tile in enumerate(reversed(self.tile)):
            if place < len(sides):
                sides[place] = -(-sides[place] // tile) * tile
        return -(-math.prod(sides) * self.bits // 8)


class Instruction(NamedTuple):
    """One instruction; `runs` is how often it runs whenever the program does, `fused` that it is part of another one.

    `operands` are the arrays of each operand, of which tuples have several. `op_name` is where in the Python code it
    comes from. `calls` are the computations it applies.
    """

    computation: str
    name: str
    opcode: str
    results: tuple[StoredArray, ...]
    operands: tuple[tuple[StoredArray, ...], ...]
    operand_names: tuple[str, ...]
    attributes: str
    op_name: str
    calls: tuple[str, ...]
    runs: int
    fused: bool


def read_instructions(text: str) -> list[Instruction]:
    """Every instruction that can run, with the bodies of loops counted as often as the loop goes round.

    Loops whose end depends on data count once; of the branches of a condition the largest counts alone. Raises
    `InputError` for what is no HLO text.
    """
    computations, entry = _read_computations(text)
    if entry is None:
        raise InputError("no HLO text: expected one computation marked ENTRY, as `compiled.as_text()` gives it")
    runs: dict[str, int] = defaultdict(int)
    fused: set[str] = set()
    _count_runs(computations, entry, 1, runs, fused)
    return [
        line._replace(runs=runs[name], fused=name in fused) for name in computations if name in runs
        for line in computations[name].values()
    ]  # fmt: skip


def _read_computations(text):
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = None, None
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            current = header["name"]
            computations[current] = {}
            entry = current if header["entry"] else entry
        elif current is not None and (found := _INSTRUCTION.match(line)):
            instruction = _read_instruction(current, found["name"], found["rest"], computations[current])
            if instruction is not None:
                computations[current][found["name"]] = instruction
    return computations, entry


def _read_instruction(computation, name, rest, earlier):
    shape_end = _balanced(rest, 0) if rest.startswith("(") else rest.find(" ")
    opcode = _OPCODE.match(rest, shape_end)
    if opcode is None:
        return None
    end = _balanced(rest, opcode.end() - 1)
    inside, attributes = rest[opcode.end() : end - 1], rest[end:]
    operand_names = tuple(re.findall(r"%([\w.\-]+)", inside))
    operands = tuple(earlier[each].results if each in earlier else () for each in operand_names)
    op_name = re.search(r'op_name="((?:[^"\\]|\\.)*)"', attributes)
    return Instruction(
        computation=computation,
        name=name,
        opcode=opcode["opcode"],
        results=_arrays(rest[:shape_end]),
        operands=operands,
        operand_names=operand_names,
        # What stands between the brackets matters for constants and parameters alone.
        attributes=attributes if operand_names else f"({inside}){attributes}",
        op_name=op_name[1] if op_name else "",
        calls=tuple(
            called.strip(" %") for several, one in _CALLED.findall(attributes) for called in (several or one).split(",")
        ),
        runs=0,
        fused=False,
    )


def _arrays(text: str) -> tuple[StoredArray, ...]:
    return tuple(
        StoredArray(
            _BITS[found["dtype"]],
            _integers(found["dims"].replace("<=", "")),
            _integers(found["order"]),
            _integers(tile[1]) if (tile := _TILE.search(found["layout"] or "")) else (),
            int(space[1]) if (space := re.search(r"S\((\d+)\)", found["layout"] or "")) else 0,
        )
        for found in _ARRAY.finditer(text)
        if found["dtype"] in _BITS
    )


def _count_runs(computations, name, times, runs, fused):
    runs[name] += times
    for line in computations[name].values():
        inside = times * _trip_count(line, computations) if line.opcode == "while" else times
        for called in _taken(line, computations):
            # What a reduction, a sort or a collective applies to each element is no instruction of its own.
            if called in computations and line.opcode in _CALLERS:
                if line.opcode == "fusion" or name in fused:
                    fused.add(called)
                _count_runs(computations, called, inside, runs, fused)


_CALLERS = {"while", "call", "conditional", "fusion", "async-start"}


def _taken(line: Instruction, computations) -> tuple[str, ...]:
    """What a line calls; of the branches of a conditional only the largest, as XLA counts it."""
    if line.opcode != "conditional":
        return line.calls
    return tuple(sorted(line.calls, key=lambda name: _written(computations.get(name, {})))[-1:])


def _written(computation: dict[str, Instruction]) -> int:
    return sum(array.stored_bytes for line in computation.values() for array in line.results)


def _trip_count(line: Instruction, computations) -> int:
    if known := re.search(r'known_trip_count[^}]*?"?n"?:\s*"?(\d+)', line.attributes):
        return int(known[1])
    condition = re.search(r"condition=%?([\w.\-]+)", line.attributes)
    return _counted_to(computations.get(condition[1], {})) if condition else 1


def _counted_to(condition: dict[str, Instruction]) -> int:
    """The n of a condition that is nothing but `place < n`; loops written with scan are such, from 0."""
    comparisons = [
        line for line in condition.values() if line.opcode == "compare" and "direction=LT" in line.attributes
    ]
    if len(comparisons) != 1 or any(line.opcode in _CALLERS for line in condition.values()):
        return 1
    bound = condition.get(comparisons[0].operand_names[-1])
    constant = re.match(r"\((\d+)\)", bound.attributes) if bound is not None and bound.opcode == "constant" else None
    return int(constant[1]) if constant else 1


def _balanced(text: str, start: int) -> int:
    """The end of what the bracket at `start` opens."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place + 1
    return len(text)


def _integers(text: str | None) -> tuple[int, ...]:
    return tuple(int(each) for each in (text or "").split(",") if each)
