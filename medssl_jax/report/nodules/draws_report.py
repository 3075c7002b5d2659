"""A table over draws as Markdown, as a page, as JSON and as a picture: what is claimed, and what stands behind it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medssl_jax.metrics.bootstrap import Interval
from medssl_jax.metrics.nodules.draws_table import Claim, DrawsTable, RowScores
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten
from medssl_jax.report.nodules.froc_tables import PaperResult, rates_in_words
from medssl_jax.report.tables_page import TablesPage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOW_TO_READ = (
    "Rows are means over draws of the labelled scans. The first interval is 95 % over scans and draws, both resampled; "
    "over scans alone where there is one draw. The second, Student's t, is over draws alone. A difference is paired by "
    "draw and scan, p is Holm's over all differences of the table, and what an interval with 0 in it or a p above .05 "
    "leaves open is not shown, nor is what one draw alone tells."
)


@dataclass(frozen=True)
class DrawsReport:
    """The numbers of a table with the words for them.

    `labels` name its rows, in their order, those without a draw too; `facts` say what all of it stands on, `notes` what
    is odd about single rows, whose labels carry a mark; `paper` are figures of the paper to set beside ours.
    """

    title: str
    numbers: DrawsTable
    labels: Mapping[str, str]
    facts: Mapping[str, str]
    notes: Sequence[str]
    paper: Mapping[str, PaperResult]

    @property
    def scores(self) -> dict[str, RowScores]:
        """The rows that have a draw, by name."""
        return {row.name: row for row in self.numbers.rows}


def report_markdown(report: DrawsReport) -> str:
    """The table as a Markdown document."""
    return _page(report).markdown()


def report_page(report: DrawsReport, *, figure: bytes) -> str:
    """The table as an HTML page of one file, with the picture, a PNG."""
    return _page(report).html(figure=figure)


def report_json(report: DrawsReport) -> dict[str, Any]:
    """The content of the JSON file, for `medssl_jax.report.json_report.write_json`."""
    return {
        "title": report.title,
        "facts": report.facts,
        "notes": list(report.notes),
        "labels": report.labels,
        **report.numbers._asdict(),
        "paper": report.paper,
    }


def draw_rows(report: DrawsReport) -> "Figure":
    """The CPM of each row: its mean with the crossed interval, and its draws as small points."""
    rows = list(reversed(report.numbers.rows))
    figure = new_figure(8.0, 1.5 + 0.4 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        axes.plot(list(row.cpm_of_draw.values()), [place] * len(row.cpm_of_draw), ".", color="0.6", markersize=5)
        low, high = row.cpm.crossed
        axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=1.8)
        axes.plot([row.cpm.mean], [place], MARKERS[0], color=COLOURS[0], markersize=6)
    axes.set_yticks(range(len(rows)), [report.labels[row.name] for row in rows])
    quieten(axes)
    axes.set_xlabel("CPM: mean with its 95 % interval over scans and draws, and each draw")
    return figure


def draw_mean_froc(report: DrawsReport) -> "Figure":
    """The mean sensitivity of each row at the false-positive rates."""
    figure = new_figure(8.0, 5.5)
    axes = figure.add_subplot()
    rates = report.numbers.fps_per_scan
    for place, row in enumerate(report.numbers.rows):
        axes.plot(
            rates,
            row.sensitivity,
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            linestyle="solid" if place < len(COLOURS) else "dashed",
            label=f"{report.labels[row.name]}: CPM {row.cpm.mean:.3f}",
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(rates, rates_in_words(rates))
    quieten(axes)
    axes.set_xlabel("false positives per scan")
    axes.set_ylabel("sensitivity, mean over draws")
    axes.legend(frameon=False, loc="best", fontsize=8)
    return figure


def draw_sweep(report: DrawsReport, x_of_row: Mapping[str, int], x_name: str) -> "Figure":
    """The CPM of each row over its place in the sweep, with the crossed interval and each draw."""
    rows = sorted((row for row in report.numbers.rows if row.name in x_of_row), key=lambda row: x_of_row[row.name])
    figure = new_figure(7.0, 5.0)
    axes = figure.add_subplot()
    x, means = [x_of_row[row.name] for row in rows], [row.cpm.mean for row in rows]
    lows, highs = ([row.cpm.crossed[end] for row in rows] for end in (0, 1))
    axes.fill_between(x, lows, highs, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.plot(x, means, color=COLOURS[0], marker=MARKERS[0])
    for at, row in zip(x, rows, strict=True):
        axes.plot([at] * len(row.cpm_of_draw), list(row.cpm_of_draw.values()), ".", color="0.6", markersize=5)
    quieten(axes)
    axes.set_xlabel(x_name)
    axes.set_ylabel("CPM: mean, 95 % over scans and draws, each draw")
    return figure


def _page(report: DrawsReport) -> TablesPage:
    return TablesPage(report.title, report.facts, _tables(report), report.notes, HOW_TO_READ)


def _tables(report: DrawsReport) -> list[tuple[str, list[list[str]]]]:
    """Each table below its heading, the first row the header."""
    tables = [("Scores", _score_cells(report))]
    if report.numbers.claims:
        tables.append(("Differences", _claim_cells(report)))
    if report.numbers.shares:
        tables.append(("Share of what labels give", _share_cells(report)))
    tables.append(("CPM of each draw", _draw_cells(report)))
    return tables


def _score_cells(report: DrawsReport) -> list[list[str]]:
    rates = report.numbers.fps_per_scan
    cells = [["FP/scan", *rates_in_words(rates), "CPM", "95 %, scans and draws", "95 %, draws", "draws"]]
    for name, label in report.labels.items():
        row = report.scores.get(name)
        if row is None:
            cells.append([label, *"-" * (len(rates) + 3), "0"])
            continue
        values = (*row.sensitivity, row.cpm.mean)
        cells.append(
            [
                *(label, *(f"{value:.3f}" for value in values)),
                *(_ends(row.cpm.crossed), _ends(row.cpm.over_draws), str(row.cpm.draws)),
            ]
        )
    for label, paper in report.paper.items():
        known = [f"{value:.3f}" for value in paper.sensitivity] or ["-"] * len(rates)
        cells.append([label, *known, f"{paper.cpm:.3f}", "-", "-", "-"])
    return cells


def _claim_cells(report: DrawsReport) -> list[list[str]]:
    header = ["difference", "CPM", "relative", "95 %, scans and draws", "95 %, draws", "p, Holm", "draws", ""]
    return [header, *(_claim(report, claim) for claim in report.numbers.claims)]


def _claim(report: DrawsReport, claim: Claim) -> list[str]:
    estimate = claim.difference
    return [
        f"{report.labels[claim.row]} - {report.labels[claim.other]}",
        f"{estimate.mean:+.3f}",
        "-" if math.isnan(claim.relative) else f"{claim.relative:+.1%}",
        _ends(estimate.crossed, signed=True),
        _ends(estimate.over_draws, signed=True),
        f"{claim.adjusted_p:.3f}",
        str(estimate.draws),
        "shown" if claim.is_shown else "not shown",
    ]


def _share_cells(report: DrawsReport) -> list[list[str]]:
    cells = [["method", "few labels", "all labels", "share", "95 %, scans and draws", "draws"]]
    for each in report.numbers.shares:
        share, interval = each.recovered
        names = [report.labels[name] for name in (each.method, each.few, each.everything)]
        cells.append([*names, "-" if math.isnan(share) else f"{share:.0%}", _percents(interval), str(each.draws)])
    return cells


def _draw_cells(report: DrawsReport) -> list[list[str]]:
    draws = sorted({draw for row in report.numbers.rows for draw in row.cpm_of_draw})
    cells = [["draw", *map(str, draws)]]
    for row in report.numbers.rows:
        of_draw = row.cpm_of_draw
        cells.append([report.labels[row.name], *(f"{of_draw[draw]:.3f}" if draw in of_draw else "-" for draw in draws)])
    return cells


def _ends(interval: Interval | None, *, signed: bool = False) -> str:
    if interval is None:
        return "-"
    return " to ".join(f"{end:+.3f}" if signed else f"{end:.3f}" for end in interval)


def _percents(interval: Interval | None) -> str:
    return (
        "no bounds: the worth of labels is not shown"
        if interval is None
        else f"{interval.low:.0%} to {interval.high:.0%}"
    )
