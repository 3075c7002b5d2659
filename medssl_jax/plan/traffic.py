"""The traffic between a chip and its main memory, read from the HLO text of a compiled program.

XLA's own count, `bytes accessed`, takes what stays in the fast memory of a core for traffic as well.
"""

import math
from collections.abc import Iterator

from medssl_jax.plan.collectives import KINDS
from medssl_jax.plan.hlo import Computation, Instruction, Program, stored_bytes

_MOVES_NOTHING = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id")
_SLICES = ("slice", "dynamic-slice")


def memory_traffic(program: Program) -> int:
    """Bytes that a program reads from main memory and writes to it, padding included, a loop as one round.

    Each instruction reads its operands and writes its result once; of what it slices, the slice. Of the branches of a
    condition the one that moves most counts.
    """
    return _traffic(program, program.entry)


def _traffic(program: Program, name: str) -> int:
    computation = program.computations[name]
    return sum(_moved(program, computation, instruction) for instruction in computation.values())


def _moved(program: Program, computation: Computation, instruction: Instruction) -> int:
    opcode, operands = instruction.opcode, [computation[name] for name in instruction.operands]
    written = _in_memory(instruction)
    if opcode in _MOVES_NOTHING or opcode.endswith("-start"):
        return 0  # what is started counts where it is done
    if opcode == "custom-call" and 'custom_call_target="AllocateBuffer"' in instruction.attributes:
        return 0
    if opcode == "while":
        return sum(_traffic(program, name) for name in instruction.called("body"))
    if opcode == "call":
        return sum(_traffic(program, name) for name in instruction.called("to_apply"))
    if opcode == "conditional":
        kinds = ("branch_computations", "true_computation", "false_computation")
        return max(_traffic(program, name) for kind in kinds for name in instruction.called(kind))
    if opcode.endswith("-done"):
        taken = sum(_in_memory(computation[name]) for name in operands[0].operands)
        return min(taken, stored_bytes(instruction.hlo_type)) + written
    if opcode == "fusion":
        return _moved_by_fusion(program.computations[instruction.called("calls")[0]], operands)
    if opcode in _SLICES:
        return min(written, _in_memory(operands[0])) + written
    if opcode == "dynamic-update-slice":
        return 2 * min(written, stored_bytes(operands[1].hlo_type))
    return sum(map(_in_memory, operands)) + written


def _moved_by_fusion(fused: Computation, operands: list[Instruction]) -> int:
    """What a fusion reads of each operand and writes of its results: what only passes through is neither."""
    parameters = {int(each.arguments): each for each in fused.values() if each.opcode == "parameter"}
    (root,) = (each for each in fused.values() if each.is_root)
    results = [fused[name] for name in root.operands] if root.opcode == "tuple" else [root]
    sources = [_source(fused, each) for each in results]
    updates = [each for each in sources if each.opcode == "dynamic-update-slice"]
    written = sum(
        min(_in_memory(result), stored_bytes(fused[source.operands[1]].hlo_type) if source in updates else math.inf)
        for result, source in zip(results, sources, strict=True)
        if source.opcode not in ("parameter", *KINDS)
    )
    read = (
        min(_in_memory(operand), sum(_read_of(fused, updates, parameters[place])))
        for place, operand in enumerate(operands)
        if _in_memory(operand)
    )
    return sum(read) + int(written)


def _source(fused: Computation, instruction: Instruction) -> Instruction:
    """What a result is another shape of."""
    return _source(fused, fused[instruction.operands[0]]) if instruction.opcode == "bitcast" else instruction


def _read_of(fused: Computation, updates: list[Instruction], source: Instruction) -> Iterator[int]:
    """What each use of a result in a fusion reads of it, which may be more together than there is."""
    for use in fused.values():
        if source.name not in use.operands:
            continue
        if use.opcode == "bitcast":
            yield from _read_of(fused, updates, use)
        elif use.opcode in _SLICES:
            yield stored_bytes(use.hlo_type)
        elif use.opcode not in ("tuple", *KINDS) and not (use in updates and use.operands[0] == source.name):
            yield stored_bytes(source.hlo_type)


def _in_memory(instruction: Instruction) -> int:
    return stored_bytes(instruction.hlo_type, off_core=True)
