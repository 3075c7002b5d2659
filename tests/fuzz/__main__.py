"""The command `python -m tests.fuzz`; `--help` lists its options."""

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.campaign import as_line, fault_line, outcomes, shares, table
from tests.fuzz.trial import FAULTS, KINDS, Trials


def main() -> int:
    """Tries inputs; status 1 where there is a fault."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=f"Mutated inputs of these kinds: {', '.join(KINDS)}."
    )
    parser.add_argument("--kind", action="append", help="only this kind, which may be repeated")
    parser.add_argument("--inputs", type=int, default=600, help="how many inputs of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="the first seed of each kind")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument("--seed", type=int, help="shows this one input of --kind")
    parser.add_argument("--keep", type=Path, help="with --seed: a folder for a copy of the input")
    parser.add_argument("--seeds", help="FROM:TO, in this process")
    parser.add_argument("--json", action="store_true", help="with --seeds: a line of JSON for each input")
    parser.add_argument("--log", type=Path, help="a file for a line of JSON for each input")
    given = parser.parse_args()
    kinds = tuple(given.kind or KINDS)
    if given.seed is not None:
        return _show(*kinds, seed=given.seed, keep=given.keep)
    if given.seeds:
        return _here(*kinds, seeds=range(*map(int, given.seeds.split(":"))))
    seeds_of = {
        kind: range(given.first, given.first + len(seeds)) for kind, seeds in shares(given.inputs, kinds).items()
    }
    return _all(seeds_of, given.workers, given.log)


def _show(kind, *, seed, keep):
    with tempfile.TemporaryDirectory() as scratch:
        outcome = Trials(kind, Path(scratch)).run(seed, keep=keep)
    for name, value in dataclasses.asdict(outcome).items():
        print(f"{name}: {value}")
    return int(outcome.verdict in FAULTS)


def _here(kind, *, seeds):
    with tempfile.TemporaryDirectory() as scratch:
        trials = Trials(kind, Path(scratch))
        trials.check_valid()
        for seed in seeds:
            print(as_line(trials.run(seed)), flush=True)
    return 0


def _all(seeds_of, workers, log):
    found, started, total = [], time.monotonic(), sum(map(len, seeds_of.values()))
    for outcome in outcomes(seeds_of, workers=workers):
        found.append(outcome)
        if log:
            with log.open("a") as file:
                file.write(as_line(outcome) + "\n")
        if outcome.verdict in FAULTS:
            print(fault_line(outcome), flush=True)
        if len(found) % 100 == 0:
            print(f"{len(found)}/{total} inputs, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(table(found))
    return int(any(outcome.verdict in FAULTS for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
