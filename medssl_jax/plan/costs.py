"""What a compiled program costs a chip: arithmetic and bytes, counted over its instructions.

XLA's own count (`cost_analysis`) takes every loop as one round, and FocalMix predicts its views in a loop.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from medssl_jax.plan.hlo import Instruction, StoredArray

# They name or pass on what lies in memory already, or what is counted where it is done.
_FREE = {
    "after-all", "bitcast", "call", "conditional", "constant", "get-tuple-element", "iota", "opt-barrier",
    "parameter", "partition-id", "replica-id", "tuple", "while",
}  # fmt: skip
# Of their first operand they read only what they give.
_PARTIAL_READS = {"dynamic-slice", "slice", "slice-start", "gather"}


def flops(instructions: Iterable[Instruction]) -> int:
    """Multiplications and additions of all convolutions and matrix products, padding left out.

    What is done element by element is not counted: it costs memory traffic, not arithmetic.
    """
    return sum(_flops_once(line) * line.runs for line in instructions if line.opcode in ("convolution", "dot"))


def bytes_moved(instructions: Sequence[Instruction]) -> int:
    """Bytes read from and written to the chip's memory: operands and results of all instructions but fused ones.

    Arrays kept in the core's own memory cost nothing, padding of tiles counts. Slices cost what they take.
    """
    inside = defaultdict(list)
    for line in instructions:
        if line.fused:
            inside[line.computation].append(line)
    return sum(
        _bytes_once(line, inside) * line.runs
        for line in instructions
        if not line.fused and line.opcode not in _FREE and not line.opcode.endswith(("-done", "-update"))
    )


def _flops_once(line: Instruction) -> int:
    left, right, out = line.operands[0][0], line.operands[1][0], line.results[0]
    if line.opcode == "dot":
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line.attributes)
        axes = [int(axis) for axis in contracted[1].split(",") if axis] if contracted else []
        return 2 * out.elements * math.prod(left.sides[axis] for axis in axes)
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line.attributes)
    assert labels is not None
    of_left, of_right, of_out = labels.groups()
    fields = _window(line.attributes)
    products = 2 * out.sides[of_out.index("b")] * out.sides[of_out.index("f")] * right.sides[of_right.index("i")]
    for place in range(len(of_left) - 2):
        sides = [array.sides[of.index(str(place))] for array, of in ((left, of_left), (right, of_right), (out, of_out))]
        products *= _products_along(*sides, **{name: values[place] for name, values in fields.items()})
    return products


def _products_along(side: int, taps: int, places: int, *, stride: int, low: int, spread: int, reach: int) -> int:
    """How many pairs of an output's place and a tap of the kernel meet a true element, along one axis.

    `low` is the padding before it, `spread` and `reach` are the dilations of input and kernel.
    """
    found = 0
    for tap in range(taps):
        # Of the places p, those where p * stride - low + tap * reach = spread * q for a q in [0, side).
        first = low - tap * reach
        found += sum(
            1 for place in range(places) if (at := place * stride - first) % spread == 0 and 0 <= at // spread < side
        )
    return found


def _window(attributes: str) -> dict[str, tuple[int, ...]]:
    window = re.search(r"window=\{([^}]*)\}", attributes)
    given = dict(each.split("=") for each in window[1].split()) if window else {}
    axes = len(given["size"].split("x")) if given else 0
    ones = "x".join("1" * axes)

    def numbers(name, default):
        return tuple(int(each.split("_")[0]) for each in given.get(name, default).split("x") if each)

    return {
        "stride": numbers("stride", ones),
        "low": numbers("pad", ones.replace("1", "0")),
        "spread": numbers("lhs_dilate", ones),
        "reach": numbers("rhs_dilate", ones),
    }


def _bytes_once(line: Instruction, inside: dict[str, list[Instruction]]) -> int:
    if line.opcode == "fusion":
        return _fusion_bytes(line, inside[line.calls[0]])
    if line.opcode == "dynamic-update-slice":
        return 2 * _stored(line.operands[1])
    if line.opcode in _PARTIAL_READS:
        return 2 * _stored(line.results[:1] if line.opcode != "slice-start" else line.results[1:2])
    if line.opcode in ("copy-start", "async-start"):
        return sum(_stored(operand) for operand in line.operands) + _stored(line.results[:1])
    return sum(_stored(operand) for operand in line.operands) + _stored(line.results)


def _fusion_bytes(line: Instruction, body: list[Instruction]) -> int:
    users = defaultdict(list)
    for each in body:
        for place, name in enumerate(each.operand_names):
            users[name].append((each, place))
    moved = 0
    for each in body:
        if each.opcode == "parameter":
            place = int(re.match(r"\((\d+)\)", each.attributes)[1])  # type: ignore[index]
            moved += _read_of(users[each.name], line.operands[place])
    updates = [
        each
        for each in body
        if each.opcode == "dynamic-update-slice" and each.results[0].sides == line.results[0].sides
    ]
    return moved + (_stored(updates[0].operands[1]) if updates else _stored(line.results))


def _read_of(users: list[tuple[Instruction, int]], operand: tuple[StoredArray, ...]) -> int:
    """What a fusion reads of an operand: the slices taken from it, where there is nothing else."""
    if users and all(line.opcode in _PARTIAL_READS and place == 0 for line, place in users):
        return min(_stored(operand), sum(_in_space_of(operand, line.results) for line, _ in users))
    if users and all(line.opcode == "dynamic-update-slice" and place == 0 for line, place in users):
        return 0
    return _stored(operand)


def _in_space_of(operand, results):
    return 0 if operand and operand[0].space else sum(array.stored_bytes for array in results)


def _stored(arrays: Iterable[StoredArray]) -> int:
    return sum(array.stored_bytes for array in arrays if not array.space)
