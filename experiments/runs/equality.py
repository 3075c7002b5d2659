"""Whether two runs of one config ended in the same bits: their last checkpoints, and what they wrote but for times."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from experiments.runs.jobs import job_of
from medssl_jax.train.run import load_run
from medssl_jax.train.tensor_hashes import FILE_NAME, tensor_hashes


class Compared(NamedTuple):
    """One thing that both runs wrote; `difference` says where they part, None where they are equal."""

    name: str
    difference: str | None


def compare_runs(config: ml_collections.ConfigDict, a: Path, b: Path) -> list[Compared]:
    """The workdirs of two finished runs of `config`, by experiments.focalmix or experiments.sos."""
    job = job_of(config)
    states = [load_run(workdir, job.fresh_state, command=job.command)[1] for workdir in (a, b)]
    files = {FILE_NAME: Path.read_bytes, **job.files}
    return [
        Compared("last checkpoint", difference_of_states(*states)),
        *(Compared(name, difference_of_files(a / name, b / name, part)) for name, part in files.items()),
    ]


def difference_of_states(a: Any, b: Any) -> str | None:
    """The first array that is not in both to the bit, by its path in the state."""
    ours, theirs = tensor_hashes(a), tensor_hashes(b)
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return f"{names[0]}, one of {len(names)} arrays that differ" if names else None


def difference_of_files(a: Path, b: Path, part: Callable[[Path], bytes] = Path.read_bytes) -> str | None:
    """The first line that is not in both to the byte; of what `part` makes of each file."""
    for path in (a, b):
        if not path.is_file():
            return f"{path} is absent"
    lines = itertools.zip_longest(part(a).splitlines(keepends=True), part(b).splitlines(keepends=True))
    differing = (number for number, (ours, theirs) in enumerate(lines, 1) if ours != theirs)
    first = next(differing, None)
    return None if first is None else f"line {first} is the first of {1 + sum(1 for _ in differing)} that differ"
