"""What the finished runs of a table come to, as its four files."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runs.table_work import Standing
from experiments.runs.tables import DATA_SETS, NOT_TELLING, Joined, Row, Table
from medssl_jax.core.atomic import atomic_path, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.metrics.draws_table import draws_table
from medssl_jax.metrics.matching import Outcome
from medssl_jax.metrics.over_draws import joined
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.draws_report import (
    DrawsReport,
    draw_mean_froc,
    draw_rows,
    draw_sweep,
    report_json,
    report_markdown,
    report_page,
)
from medssl_jax.report.nodules.froc_tables import PaperResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table_report(
    table: Table, data: str, state: Standing, *, changes: Sequence[str] = (), bootstraps: int = 1000
) -> DrawsReport:
    """The numbers and words of a table, as far as its runs are done.

    Raises `InputError` where runs were scored at other false-positive rates or on other scans than those beside them.
    """
    results = [result for _, result in state.done]
    changes = [change for change in changes if not change.startswith(NOT_TELLING)]
    rates = {result.finished.fps_per_scan for result in results}
    if len(rates) > 1:
        raise InputError(
            f"results: found scores at the false positives {' and '.join(map(str, sorted(rates)))} a scan, expected "
            "one choice in a table: make those of other rates again"
        )
    outcomes = _outcomes(table, state)
    numbers = draws_table(
        outcomes,
        differences=table.differences,
        shares=table.shares,
        bootstraps=bootstraps,
        **({"fps_per_scan": rates.pop()} if rates else {}),
    )
    commits, lines = _commits_of_rows(table, state), _lines(table)
    usual = Counter(commit for of_row in commits.values() for commit in of_row).most_common(1)
    odd = {name: of_row for name, of_row in commits.items() if usual and of_row - {usual[0][0]}}
    on_luna16 = bool(results) and all(result.finished.is_luna16 for result in results) and data == "luna16"
    return DrawsReport(
        title=table.title,
        numbers=numbers,
        labels={line.name: line.label + ("*" if line.name in odd else "") for line in lines},
        facts={
            "data": _data_name(data, on_luna16=on_luna16),
            "test scans": _sizes(outcomes),
            "runs": f"{len(state.done)} of {len(state.done) + len(state.left)}",
            "machine": "; ".join(dict.fromkeys(result.machine for result in results)) or "-",
            "commit": usual[0][0] if usual else "-",
            "resamples": str(bootstraps),
        }
        | ({"changed in all rows": ", ".join(changes)} if changes else {}),
        notes=[f"*{_label(lines, name)}: commits {', '.join(sorted(of_row))}" for name, of_row in odd.items()],
        paper=_paper_of(table) if on_luna16 and not changes else {},
    )


def write_report(folder: Path, name: str, table: Table, report: DrawsReport) -> list[Path]:
    """Writes Markdown, HTML, JSON and PNG, and says where."""
    paths = [folder / f"{name}.{ending}" for ending in ("md", "html", "json", "png")]
    markdown, html_page, numbers, picture = paths
    buffer = io.BytesIO()
    _figure(table, report).savefig(buffer, format="png", dpi=150)
    write_text(markdown, report_markdown(report))
    write_text(html_page, report_page(report, figure=buffer.getvalue()))
    write_json(numbers, report_json(report))
    with atomic_path(picture) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return paths


def _outcomes(table: Table, state: Standing) -> dict[str, dict[int, Outcome]]:
    """The outcome of each draw of each row, and of lines that are joined of several rows; draws in rising order."""
    outcomes: dict[str, dict[int, Outcome]] = {row.name: {} for row in table.rows}
    for run, result in sorted(state.done, key=lambda done: done[0].draw):
        outcomes[run.row][run.draw] = result.finished.outcome
    for line in table.joined:
        parts = [outcomes[name] for name in line.rows]
        whole = [draw for draw in parts[0] if all(draw in part for part in parts)]
        outcomes[line.name] = {draw: joined([part[draw] for part in parts]) for draw in whole}
    return outcomes


def _commits_of_rows(table: Table, state: Standing) -> dict[str, set[str]]:
    commits: dict[str, set[str]] = {}
    for run, result in state.done:
        commits.setdefault(run.row, set()).update(result.commits)
    for line in table.joined:
        of_parts = [commits.get(name, set()) for name in line.rows]
        if any(of_parts):
            commits[line.name] = set().union(*of_parts)
    return commits


def _lines(table: Table) -> tuple[Row | Joined, ...]:
    return (*table.rows, *table.joined)


def _label(lines: Sequence[Row | Joined], name: str) -> str:
    return next(line.label for line in lines if line.name == name)


def _sizes(outcomes: Mapping[str, Mapping[int, Outcome]]) -> str:
    sizes = {
        (len(outcome.series_uids), int(outcome.nodules_per_scan.sum()))
        for of_draws in outcomes.values()
        for outcome in of_draws.values()
    }
    return "; ".join(f"{scans} with {nodules} nodules" for scans, nodules in sorted(sizes)) or "-"


def _data_name(data: str, *, on_luna16: bool) -> str:
    if data == "luna16" and not on_luna16:
        return "scans in LUNA16's layout, not its 888 scans"
    return DATA_SETS[data].about


def _paper_of(table: Table) -> dict[str, PaperResult]:
    beside = {f"paper: {line.label}": line.paper for line in _lines(table) if line.paper is not None}
    return beside | {f"paper: {label}": result for label, result in table.cited.items()}


def _figure(table: Table, report: DrawsReport) -> "Figure":
    if table.plot == "sweep":
        return draw_sweep(report, {row.name: row.x for row in table.rows if row.x is not None}, table.x_name)
    return {"froc": draw_mean_froc, "rows": draw_rows}[table.plot](report)
