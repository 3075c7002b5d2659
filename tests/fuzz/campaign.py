"""Many inputs, by processes side by side, and the table of what became of them."""

import collections
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.fuzz.trial import FAULTS, KINDS, Outcome

ROOT = Path(__file__).parents[2]
SEEDS_AT_ONCE = 100  # a process spends seconds on what it imports and on its valid inputs


def shares(inputs: int, kinds: Sequence[str] = KINDS) -> dict[str, range]:
    """Seeds for each kind, `inputs` in all."""
    least, more = divmod(inputs, len(kinds))
    return {kind: range(least + (number < more)) for number, kind in enumerate(kinds)}


def outcomes(seeds_of: Mapping[str, range], *, workers: int) -> Iterator[Outcome]:
    """Tries all inputs by `workers` processes; what became of them, as it is known."""
    pieces = [
        (kind, seeds[start : start + SEEDS_AT_ONCE])
        for kind, seeds in seeds_of.items()
        for start in range(0, len(seeds), SEEDS_AT_ONCE)
    ]
    with ThreadPoolExecutor(workers) as pool:
        for finished in as_completed(pool.submit(_in_process, *piece) for piece in pieces):
            yield from finished.result()


def table(found: Iterable[Outcome]) -> str:
    """A row for each kind: inputs, refused, read and right, and the faults; then the reasons why those are right."""
    count_of: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    reasons: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for outcome in found:
        count_of[outcome.kind].update(("inputs", outcome.verdict))
        if outcome.verdict == "right":
            reasons[outcome.kind][outcome.reason] += 1
    columns = ("inputs", "refused", "right", *FAULTS)
    rows = {kind: [count_of[kind][column] for column in columns] for kind in KINDS if kind in count_of}
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    lines = [("kind", *columns), *((kind, *map(str, row)) for kind, row in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    for kind, counted in reasons.items():
        text += [f"{kind}, read and right: {count} {reason}" for reason, count in counted.most_common()]
    return "\n".join(text)


def fault_line(outcome: Outcome) -> str:
    """One line that names the input, what is wrong, and how it is shown again."""
    told = " ".join(f"{outcome.verdict}: {outcome.reason} ({outcome.mutation})".split())
    return f"--kind={outcome.kind} --seed={outcome.seed}: {told[:600]}"


def _in_process(kind: str, seeds: range) -> list[Outcome]:
    command = [sys.executable, "-m", "tests.fuzz", f"--kind={kind}", f"--seeds={seeds.start}:{seeds.stop}", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {ended.returncode}:\n{ended.stderr[-3000:]}")
    return [Outcome(**json.loads(line)) for line in ended.stdout.splitlines()]


def as_line(outcome: Outcome) -> str:
    """The outcome as a line of JSON."""
    return json.dumps(dataclasses.asdict(outcome))
