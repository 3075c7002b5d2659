"""Plants small faults in the code, one at a time, and tells which of them no test notices.

    python tests/mutation/run.py --out=FOLDER

draws 40 faults in each part of the code; under 3 hours on two cores. Started again it goes on, and tries again the
faults that survived, so that a new test shows at once. Of each fault only the test files are run whose quick tests
reach its lines: those of the same name first, then of the same folder, then the quickest, for at most `BUDGET_SECONDS`
of processor time. A file is run whole, because JAX traces a function once for all of its tests.
"""

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import random
import shutil
import tomllib
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from operators import Mutant, mutants_of
from trials import Outcome, copy_repository, import_libraries, run_tests

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
PARTS = {
    "losses": ["losses/*.py"],
    "ssl": ["ssl/*.py"],
    "detection": ["detection/*.py"],
    "models": ["models/*.py"],
    "metrics": ["metrics/**/*.py"],
    "training": ["train/*.py", "steps/*.py", "run_folder/*.py", "parallel/*.py", "core/step_lines.py"],
    "data": ["data/**/*.py", *(f"core/{name}.py" for name in ("atomic", "checksums", "file_sample", "locks", "names"))],
    "inference": ["inference/*.py"],
    "readers": ["imaging/*.py", "imaging/*/*.py", "core/csv_files.py"],
}
BUDGET_SECONDS = 120.0
# They stand on the parts above and check other things.
TEST_FOLDERS_LEFT_OUT = {"mutation", "phantoms", "plan", "report", "experiments"}


def main() -> None:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    import_libraries()
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(arguments.processes, fork, begin_process, (arguments.out,)) as pool:
        reach = measure_reach(pool, arguments.out)
        drawn = {part: draw(part, arguments.seed, arguments.each) for part in arguments.parts}
        died = read_deaths(arguments.out)
        tasks = [
            (mutant, *choose_tests(mutant, reach))
            for mutants in drawn.values()
            for mutant in mutants
            if mutant.key not in died
        ]
        tasks.sort(key=lambda task: reach[task[1][0]].seconds if task[1] else 0)
        with open(arguments.out / "results.jsonl", "a") as results:
            trials = [pool.submit(try_mutant, *task) for task in tasks]
            for number, trial in enumerate(as_completed(trials), 1):
                mutant, outcome = trial.result()
                record = {"mutant": mutant.key, "failed": outcome.failed, "seconds": outcome.seconds}
                print(json.dumps(record), file=results, flush=True)
                fate = f"died by {outcome.failed}" if outcome.failed else "SURVIVED"
                print(f"{number} of {len(tasks)}: {mutant.path} {mutant.function}: {fate}", flush=True)
    print_report(drawn, read_deaths(arguments.out))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where results are kept, outside the repository")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=40, help="faults drawn from each part")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


# What is drawn


def draw(part: str, seed: int, count: int) -> list[Mutant]:
    """Statements by lot, and of each one of its mutants; a second one of a statement only where there are too few."""
    rng = random.Random(f"{seed} {part}")
    statements: dict[tuple, list[Mutant]] = {}
    for pattern in PARTS[part]:
        for path in sorted((ROOT / "medssl_jax").glob(pattern)):
            for mutant in mutants_of(str(path.relative_to(ROOT)), path.read_text()):
                statements.setdefault((mutant.path, mutant.lines), []).append(mutant)
    for mutants in statements.values():
        rng.shuffle(mutants)
    chosen: list[Mutant] = []
    while len(chosen) < count and statements:
        for place in rng.sample(sorted(statements), min(count - len(chosen), len(statements))):
            chosen.append(statements[place].pop())
            if not statements[place]:
                del statements[place]
    return chosen


# What it costs to reach it


def measure_reach(pool, out: Path) -> dict[str, Outcome]:
    """Lines and seconds of each test file, from the last time where neither it nor what it reaches has changed."""
    path = out / "reach.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    old = {file: each for file, each in known.items() if each["state"] == state_of(file, each["lines"])}
    files = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path.relative_to(ROOT).parts[1] not in TEST_FOLDERS_LEFT_OUT
    ]
    for measured in as_completed([pool.submit(measure, file) for file in files if file not in old]):
        file, outcome = measured.result()
        old[file] = dataclasses.asdict(outcome) | {"state": state_of(file, outcome.lines)}
        path.write_text(json.dumps(known | old))
        print(
            f"{file}: {outcome.seconds:.0f} s {outcome.failed and f'left out: {outcome.failed}'}",
            flush=True,
        )
    reach = {file: Outcome(**{name: old[file][name] for name in ("failed", "seconds", "lines")}) for file in files}
    return {file: each for file, each in reach.items() if not each.failed}


def state_of(file: str, sources) -> str:
    """Of a test file, the fixtures it may use, and the source files it reaches."""
    digest = hashlib.sha256()
    folders = [folder for folder in (ROOT / file).parents if ROOT / "tests" in (folder, *folder.parents)]
    for path in [
        ROOT / file,
        *(folder / "conftest.py" for folder in folders),
        *(ROOT / name for name in sorted(sources)),
    ]:
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def choose_tests(mutant: Mutant, reach: dict[str, Outcome]) -> tuple[list[str], float]:
    """Test files that reach the lines of a mutant, or are the module's own, and the seconds that they take.

    Where none reaches the lines, those that reach the module may do so in processes of their own.
    """
    path = Path(mutant.path)
    lines = set(range(mutant.lines[0], mutant.lines[1] + 1))
    if not any(lines & set(each.lines.get(mutant.path, ())) for each in reach.values()):
        lines = {line for each in reach.values() for line in each.lines.get(mutant.path, ())}

    def distance(file):
        """0 of a module's own tests, as tests/data/scans/test_patches.py is for medssl_jax/data/scans/patches.py."""
        test = Path(file)
        is_named_after = path.stem in test.stem or path.stem.startswith(test.stem.removeprefix("test_") + "_")
        is_beside = path.parent.parts[1:] == test.parent.parts[1:]
        return 2 * (not is_named_after) + (not is_beside)

    chosen: list[str] = []
    seconds = 0.0
    for file in sorted(reach, key=lambda file: (distance(file), reach[file].seconds)):
        reaches = not distance(file) or lines & set(reach[file].lines.get(mutant.path, ()))
        if reaches and (not chosen or seconds + reach[file].seconds <= BUDGET_SECONDS):
            chosen.append(file)
            seconds += reach[file].seconds
    return chosen, seconds


# What each process does

tree: Path


def begin_process(out: Path) -> None:
    global tree
    folder = out / multiprocessing.current_process().name
    shutil.rmtree(folder, ignore_errors=True)
    tree = copy_repository(ROOT, folder)


def measure(file: str) -> tuple[str, Outcome]:
    return file, run_tests(tree, [file], cpu_seconds=1000, wall_seconds=3000, measure=True)


def try_mutant(mutant: Mutant, files: list[str], seconds: float) -> tuple[Mutant, Outcome]:
    if not files:
        return mutant, Outcome("", 0.0, {})
    source = tree / mutant.path
    whole = source.read_text()
    source.write_text(mutant.source)
    try:
        return mutant, run_tests(tree, files, cpu_seconds=60 + 3 * seconds, wall_seconds=200 + 10 * seconds)
    finally:
        source.write_text(whole)


# What is told


def read_deaths(out: Path) -> dict[tuple, str]:
    """Which test killed which mutant."""
    path = out / "results.jsonl"
    records = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return {tuple(each["mutant"]): each["failed"] for each in records if each["failed"]}


def print_report(drawn: dict[str, list[Mutant]], died: dict[tuple, str]) -> None:
    """A table by part, and every survivor that is not known to be equivalent."""
    reasons = {
        (each["path"], each["function"], each["before"], each["after"]): each["reason"]
        for each in tomllib.loads(EQUIVALENT.read_text())["mutant"]
    }
    print(f"\n{'part':12}{'drawn':>8}{'died':>8}{'equivalent':>12}{'survived':>10}{'score':>8}")
    for part, mutants in drawn.items():
        keys = [mutant.key for mutant in mutants]
        dead = sum(key in died for key in keys)
        equivalent = sum(key in reasons and key not in died for key in keys)
        tried = len(keys) - equivalent
        print(f"{part:12}{len(keys):8}{dead:8}{equivalent:12}{tried - dead:10}{dead / max(1, tried):8.1%}")
    for part, mutants in drawn.items():
        for mutant in mutants:
            if mutant.key not in died:
                print(f"\n{part}: {mutant.path}:{mutant.lines[0]} {mutant.function}")
                print(f"  - {mutant.before}\n  + {mutant.after}".replace("\n", "\n    "))
                print(f"    {reasons.get(mutant.key, 'SURVIVED')}")
            elif mutant.key in reasons:
                print(f"\n{mutant.path}:{mutant.lines[0]} is listed as equivalent, but died by {died[mutant.key]}")


if __name__ == "__main__":
    main()
