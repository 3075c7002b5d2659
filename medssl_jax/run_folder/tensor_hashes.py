"""Hashes of the batch and the state of each step, by which runs are compared without keeping their tensors.

A hash is the first 16 hexadecimal digits of SHA-256 over dtype, shape and bytes, so equal hashes mean equal bits.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.core.step_lines import StepLines, read_step_lines

FILE_NAME = "hashes.jsonl"


class StepHashes(NamedTuple):
    """Hashes by name of the tensors of one step: the batch it took and the state it left."""

    batch: Mapping[str, str]
    state: Mapping[str, str]


def tensor_hashes(tree: Any) -> dict[str, str]:
    """The hash of each tensor by its path, such as `params.lateral4.kernel`; this host must have the tensors whole."""
    return {name: _hash_of(tensor) for name, tensor in _named(tree)}


def row_hashes(rows: Any) -> dict[str, list[str]]:
    """One hash for each row of each tensor of a batch; a host knows its own rows only."""
    return {name: [_hash_of(row) for row in tensor] for name, tensor in _named(rows)}


def join_rows(per_host: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, str]:
    """The hash of each tensor of the whole batch, from the `row_hashes` of all hosts in the order of their rows.

    It is the same however many hosts there are.
    """
    return {
        name: _short(hashlib.sha256("".join(each for host in per_host for each in host[name]).encode()))
        for name in per_host[0]
    }


class HashWriter:
    """Appends to `hashes.jsonl` in the folder of a run: `{"step": n, "batch": {name: hash}, "state": {name: hash}}`.

    Lines after `resume_step` are dropped, as `StepLines` says.
    """

    def __init__(self, workdir: Path, *, resume_step: int):
        self._lines = StepLines(workdir / FILE_NAME, resume_step=resume_step)

    def __call__(self, step: int, hashes: StepHashes) -> None:
        """Writes the hashes of one step."""
        self._lines.append(step, hashes._asdict())


def read_hashes(workdir: Path) -> dict[int, StepHashes]:
    """The hashes in the folder of a run, by step. Raises `InputError` where there are none, or a line is damaged."""
    path = workdir / FILE_NAME
    try:
        lines = read_step_lines(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected the hashes that a training run writes") from error
    for step, values, _ in lines:
        if not all(isinstance(values.get(part), dict) for part in StepHashes._fields):
            raise InputError(f"{path}: the line of step {step} has no hashes of batch and state: copy the file again")
    return {step: StepHashes(values["batch"], values["state"]) for step, values, _ in lines}


def difference_of_hashes(then: StepHashes, now: StepHashes) -> str | None:
    """Names the first tensor that differs, those of the batch before those of the state; None where all are equal."""
    for part in StepHashes._fields:
        old, new = getattr(then, part), getattr(now, part)
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if names:
            where = f"batch.{names[0]}" if part == "batch" else names[0]
            others = f", one of {len(names)} tensors of the {part} that do" if len(names) > 1 else ""
            return f"{where} differs{others}" + ("" if part == "batch" else "; the batch is equal")
    return None


def _named(tree: Any) -> list[tuple[str, np.ndarray]]:
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
    return [(jax.tree_util.keystr(path, simple=True, separator="."), np.asarray(leaf)) for path, leaf in leaves]


def _hash_of(tensor: np.ndarray | np.generic) -> str:
    digest = hashlib.sha256(f"{tensor.dtype} {tensor.shape} ".encode())
    # As bytes, since the buffer protocol has no bfloat16.
    digest.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return _short(digest)


def _short(digest: "hashlib._Hash") -> str:
    return digest.hexdigest()[:16]
