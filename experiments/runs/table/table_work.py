"""The runs of a table: which are left, and making them, beside other processes that do the same.

A run is taken by locking its folder, so that one process makes it, and another goes on with it where that one ends or
dies. What is finished is a file in `results`; how far an unfinished run has come is in its own folder.
"""

import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections

from experiments.runs.table.table_job import TableJob
from experiments.runs.table.table_results import (
    Finished,
    RunResult,
    read_result,
    read_results,
    result_path,
    write_result,
)
from experiments.runs.table.tables import Run
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import if_free
from medssl_jax.run_folder.run_record import FILE_NAME, read_run_record

Job = Callable[[ml_collections.ConfigDict, Path], Finished]
SECONDS_BETWEEN_LOOKS = 10.0  # at what other processes have finished


class Standing(NamedTuple):
    """The runs of a table by whether they are finished, and the seconds that the others are expected to take.

    `hours_left` is None as long as no finished run tells how long one takes.
    """

    done: tuple[tuple[Run, RunResult], ...]
    left: tuple[Run, ...]
    hours_left: float | None


def standing(runs: Sequence[Run], results: Sequence[RunResult]) -> Standing:
    """What is done and left of `runs`, by the `results` that there are.

    A run is expected to take as long as those of its row, else as its steps at the mean seconds a step of all.
    """
    done, left = [], []
    for run in runs:
        result = next((each for each in results if each.answers_for(run)), None)
        if result is None:
            left.append(run)
        else:
            done.append((run, result))
    timed = [(run, result) for run, result in done if result.finished.seconds is not None]
    seconds_of_row: dict[str, list[float]] = {}
    for run, result in timed:
        seconds_of_row.setdefault(run.row, []).append(result.finished.seconds or 0.0)
    seconds = sum(map(sum, seconds_of_row.values()))
    steps = sum(run.config.steps for run, _ in timed)
    hours = None
    if not left or timed:
        hours = sum(_expected(run, seconds_of_row.get(run.row), seconds / max(1, steps)) for run in left) / 3600
    return Standing(tuple(done), tuple(left), hours)


def results_known(workdir: Path, others: Sequence[Path] = ()) -> list[RunResult]:
    """The results in a table's folder and in `others`. Raises `InputError` for a damaged one."""
    own = workdir / "results"
    return read_results([*([own] if own.is_dir() else []), *others])


def make_runs(
    table: str,
    runs: Sequence[Run],
    workdir: Path,
    *,
    others: Sequence[Path] = (),
    job: Job | None = None,
    seconds_between_looks: float = SECONDS_BETWEEN_LOOKS,
) -> list[tuple[Run, str]]:
    """Makes the runs that are left, in order, and waits for those that other processes are making.

    Each below `workdir/runs`, in the folder of its training, its result in `workdir/results`; a run whose result is
    there, or in the folders `others`, is not made. Returns the runs that `InputError` ended, with its message; the
    others are made all the same.
    """
    writable_directory(workdir / "results")
    failed, told_of_waiting = dict[str, str](), False
    while left := [run for run in standing(runs, results_known(workdir, others)).left if run.key not in failed]:
        made = False
        for run in left:
            folder, path = writable_directory(workdir / "runs" / run.training), result_path(workdir, run, table)
            with if_free(folder, "training in") as is_ours:
                # While this process was at another run, a second one may have begun and finished this.
                if not is_ours or _is_finished(run, workdir):
                    continue
                made = True
                try:
                    _make(run, folder / "run", path, table, job or functools.partial(finished_run, run.job))
                except InputError as error:
                    failed[run.key] = str(error)
                    print(f"{run.row}, draw {run.draw}: failed: {error}", flush=True)
        if not made:
            if not told_of_waiting:
                print(f"waiting: other processes are at {len(left)} runs", flush=True)
                told_of_waiting = True
            time.sleep(seconds_between_looks)
    return [(run, failed[run.key]) for run in runs if run.key in failed]


def finished_run(job: TableJob, config: ml_collections.ConfigDict, workdir: Path) -> Finished:
    """Does what the `job` of a table does, in a folder that `experiments.reproduce` takes."""
    is_resumed, start = any((workdir / "checkpoints").glob("[0-9]*")), time.monotonic()
    scored = job.run(config, workdir)
    seconds = time.monotonic() - start
    jax.clear_caches()  # what other rows compile would add up
    split = json.loads((workdir / "split.json").read_text())
    return Finished(
        scored=scored,
        split={name: len(part) if isinstance(part, list) else part for name, part in split.items()},
        environments=tuple(session.environment for session in read_run_record(workdir / FILE_NAME).sessions),
        seconds=None if is_resumed else seconds,
    )


def prepare_data(runs: Sequence[Run]) -> None:
    """Prepares the data of all runs. Raises `InputError`, before anything is trained, where they are not there."""
    for run in {json.dumps(run.config.data.to_dict(), sort_keys=True): run for run in runs}.values():
        run.job.prepare(run.config)


def _make(run: Run, folder: Path, path: Path, table: str, job: Job) -> None:
    start = time.monotonic()
    print(f"\n{run.row}, draw {run.draw}: {folder}", flush=True)
    write_result(path, table, run, job(run.config, folder))
    print(f"{run.row}, draw {run.draw}: {(time.monotonic() - start) / 60:.1f} minutes, {path}", flush=True)


def _is_finished(run: Run, workdir: Path) -> bool:
    paths = (workdir / "results").glob(f"*-{run.key}.json")
    return any(read_result(path).answers_for(run) for path in paths)


def _expected(run: Run, of_row: Sequence[float] | None, seconds_a_step: float) -> float:
    return sum(of_row) / len(of_row) if of_row else seconds_a_step * run.config.steps
