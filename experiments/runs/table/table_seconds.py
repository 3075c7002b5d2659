"""Seconds of the rows of a table, measured in turn in one process, so that a slow moment slows all of them alike."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments.runs.table.tables import Run, means_the_same
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.report.json_report import write_json

FOLDER = "seconds"  # in a folder of results


class InTurn(NamedTuple):
    """What was measured of each row, as its job has it, on up to so many `cases` each, of one `draw`."""

    draw: int
    cases: int
    machine: str
    rows: Mapping[str, Any]

    @property
    def about(self) -> str:
        """The conditions in words."""
        return f"in turn on up to {self.cases} slides, draw {self.draw}, {self.machine}"


def time_rows(table: str, runs: Sequence[Run], workdir: Path, cases: int) -> None:
    """Measures the first of the draws of a table's `runs` from its trainings below `workdir`.

    What it finds is written beside their results there.

    Raises `InputError` where runs of this kind are not timed, a training is elsewhere, or rows that were timed with
    these would be lost.
    """
    first = [run for run in runs if run.draw == runs[0].draw]
    job = first[0].job
    if job.time is None:
        raise InputError(f"--seconds={cases}: runs of {job.command} are not timed, expected a table of slides")
    folders = {run.row: workdir / "runs" / run.training / "run" for run in first}
    for run in first:
        if not any((folders[run.row] / "checkpoints").glob("[0-9]*")):
            raise InputError(
                f"--seconds={cases}: row {run.row}, draw {run.draw} was trained elsewhere: there is no checkpoint in "
                f"{folders[run.row]}; leave the row out by --rows, or time where all were trained"
            )
    path = _path(writable_directory(workdir / "results" / FOLDER), table, first[0].data)
    if path.is_file() and (lost := _read(path)[0].rows.keys() - folders.keys()):
        raise InputError(
            f"--seconds={cases}: {path} has seconds of row {min(lost)} too, which is not among those to be timed: add "
            "it to --rows, since rows are timed together, or remove the file"
        )
    measured = job.time({run.row: (run.config, folders[run.row]) for run in first}, cases)
    device = jax.devices()[0]
    write_json(
        path,
        {
            "draw": first[0].draw,
            "cases": cases,
            "machine": f"{jax.device_count()} x {device.device_kind}",
            "rows": {run.row: {"config": run.fields, "measured": measured[run.row]} for run in first},
        },
    )


def read_seconds(table: str, runs: Sequence[Run], folders: Iterable[Path]) -> InTurn | None:
    """What was measured of these runs, from the first of some folders of results that has any of it; else None.

    Raises `InputError` for a damaged file.
    """
    paths = (_path(folder / FOLDER, table, runs[0].data) for folder in folders)
    for timed, configs in (_read(path) for path in paths if path.is_file()):
        of_draw = {run.row: run for run in runs if run.draw == timed.draw and run.row in configs}
        same = [row for row, run in of_draw.items() if means_the_same(configs[row], run.fields, run.job)]
        if same:
            return timed._replace(rows={row: timed.rows[row] for row in same})
    return None


def _read(path: Path) -> tuple[InTurn, Mapping[str, Mapping[str, Any]]]:
    """What was measured of all rows of a file, and the fields of each row's config."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        measured, configs = (
            {row: dict(each[part]) for row, each in held["rows"].items()} for part in ("measured", "config")
        )
        return InTurn(held["draw"], held["cases"], held["machine"], measured), configs
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no seconds of rows ({error!r}): measure again with --seconds") from error


def _path(folder: Path, table: str, data: str) -> Path:
    return folder / f"{table}-{data}.json"
