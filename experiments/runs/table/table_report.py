"""What the finished runs of a table come to, as its four files."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.runs.table.declaration import Table
from experiments.runs.table.table_job import Frame, Printed
from experiments.runs.table.table_seconds import InTurn
from experiments.runs.table.table_work import Standing
from experiments.runs.table.tables import DATA_SETS, NOT_TELLING, Run
from medssl_jax.core.atomic import atomic_path, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.report.json_report import write_json


def table_report(
    table: Table,
    data: str,
    state: Standing,
    *,
    changes: Sequence[str] = (),
    bootstraps: int = 1000,
    seconds: InTurn | None = None,
) -> Any:
    """The report of the table's job, as far as its runs are done; draws in rising order; with `seconds` if measured.

    Raises `InputError` where results cannot stand beside each other.
    """
    _require_same_data(state)
    scored: dict[str, dict[int, Any]] = {row.name: {} for row in table.rows}
    for run, result in sorted(state.done, key=lambda done: done[0].draw):
        scored[run.row][run.draw] = result.finished.scored
    changes = [change for change in changes if not change.startswith(NOT_TELLING)]
    commits = _commits_of_lines(table, state)
    usual = Counter(commit for of_row in commits.values() for commit in of_row).most_common(1)
    odd = {name: of_row for name, of_row in commits.items() if usual and of_row - {usual[0][0]}}
    machines = dict.fromkeys(result.machine for _, result in state.done)
    labels = {line.name: line.label for line in table.lines}
    frame = Frame(
        about=DATA_SETS[data].about,
        facts={
            "runs": f"{len(state.done)} of {len(state.done) + len(state.left)}",
            "machine": "; ".join(machines) or "-",
            "commit": usual[0][0] if usual else "-",
            "resamples": str(bootstraps),
        }
        | ({"changed in all rows": ", ".join(changes)} if changes else {}),
        labels={name: label + ("*" if name in odd else "") for name, label in labels.items()},
        notes=[f"*{labels[name]}: commits {', '.join(sorted(of_row))}" for name, of_row in odd.items()],
        is_as_declared=not changes,
        bootstraps=bootstraps,
        seconds=seconds.rows if seconds else {},
        timed=seconds.about if seconds else "",
    )
    return DATA_SETS[data].job.report(table, scored, frame)


def write_report(folder: Path, name: str, printed: Printed) -> list[Path]:
    """Writes Markdown, HTML, JSON and PNG, and says where."""
    paths = [folder / f"{name}.{ending}" for ending in ("md", "html", "json", "png")]
    markdown, html_page, numbers, picture = paths
    write_text(markdown, printed.markdown)
    write_text(html_page, printed.page)
    write_json(numbers, printed.numbers)
    with atomic_path(picture) as temporary:
        temporary.write_bytes(printed.picture)
    return paths


def _require_same_data(state: Standing) -> None:
    """Raises `InputError` where runs whose configs name the same data were not made on the same."""
    first: dict[str, tuple[Run, str]] = {}
    for run, result in state.done:
        named = json.dumps({field: value for field, value in run.fields.items() if field.startswith("data.")})
        found = result.finished.split["data_fingerprint"]
        other, expected = first.setdefault(named, (run, found))
        if found != expected:
            raise InputError(
                f"results: row {run.row}, draw {run.draw} is of other data (fingerprint {found}) than row {other.row}, "
                f"draw {other.draw} ({expected}), which its config says it shares: take the results of the one that "
                "is out of date out of the folder, and make them again"
            )


def _commits_of_lines(table: Table, state: Standing) -> dict[str, set[str]]:
    commits: dict[str, set[str]] = {}
    for run, result in state.done:
        commits.setdefault(run.row, set()).update(result.commits)
    for line in table.joined:
        of_parts = [commits.get(name, set()) for name in line.rows]
        if any(of_parts):
            commits[line.name] = set().union(*of_parts)
    return commits
