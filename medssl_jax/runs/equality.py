"""Whether two runs of one config ended in the same bits: their last checkpoints, and what they wrote but for times."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from medssl_jax.errors import InputError
from medssl_jax.runs import focalmix as focalmix_run
from medssl_jax.runs import sos as sos_run
from medssl_jax.train.fingerprints import tensor_hashes
from medssl_jax.train.run import load_run

FILES_OF_FOCALMIX = ("metrics.jsonl", "split.json", "submission.csv", "froc.json")
FILES_OF_SOS = ("metrics.jsonl", "split.json")
FILES_WHERE_THERE = ("hashes.jsonl",)


class Compared(NamedTuple):
    """One thing that both runs wrote; `difference` says where they part, None where they are equal."""

    name: str
    difference: str | None


def compare_runs(config: ml_collections.ConfigDict, a: Path, b: Path) -> list[Compared]:
    """The workdirs of two finished runs of `config`, by experiments.focalmix or experiments.sos."""
    focalmix = "anchors" in config
    names = [*(FILES_OF_FOCALMIX if focalmix else FILES_OF_SOS)]
    names += [name for name in FILES_WHERE_THERE if (a / name).exists() or (b / name).exists()]
    compared = [Compared("last checkpoint", difference_of_states(_state_in(a, focalmix), _state_in(b, focalmix)))]
    compared += [Compared(name, difference_of_files(a / name, b / name)) for name in names]
    if not focalmix:
        name = "results.json"
        compared.append(Compared(f"{name}: slides", difference_of_files(a / name, b / name, slides_in)))
    return compared


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


def _state_in(workdir, focalmix):
    if focalmix:
        return load_run(workdir, focalmix_run.fresh_state, section="anchors", command="experiments.focalmix")[1]
    return load_run(workdir, sos_run.fresh_state, section="method", command="experiments.sos")[1]


def slides_in(results: Path) -> bytes:
    """What each slide was given; beside it there are times and memory, which no run repeats."""
    try:
        return json.dumps(json.loads(results.read_text())["slides"], indent=1).encode()
    except (json.JSONDecodeError, KeyError) as error:
        raise InputError(f"{results}: no results of experiments.sos ({error!r}): start that run again") from error
