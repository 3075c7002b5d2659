"""A table of SOS and the methods beside it over several trainings: its text, its numbers and its picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from medssl_jax.metrics.bootstrap import Interval
from medssl_jax.metrics.over_draws import OverDraws
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod
from medssl_jax.metrics.slides.method_scores import MethodScores, MethodTimes
from medssl_jax.metrics.slides.switch_worth import CONFIDENCE, SettledRisk
from medssl_jax.metrics.slides.switching import SwitchScores
from medssl_jax.metrics.slides.worth_table import (
    AREA,
    AT,
    LOW_ACCURACY,
    TOTAL_ACCURACY,
    Evaluations,
    RowWorth,
    WorthTable,
    curve_of,
    once,
)
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten
from medssl_jax.report.slides.sos_tables import table_3_cells, table_4_cells, timing_cells
from medssl_jax.report.tables_page import TablesPage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOW_TO_READ = (
    "Rows are means over draws: a draw is the seed of a training and of its validation slides. All figures are in "
    "hundredths. The first is the area under accuracy against LP, the share of slides settled at low resolution: the "
    "mean accuracy over all LP as the method's own threshold moves. TA is total accuracy, at the method's own LP and "
    "where LP is moved to the one said. The first interval is 95 % over slides and trainings, both resampled; over "
    "slides alone where there is one draw. The second, Student's t, is over trainings alone. A difference is paired "
    "by draw and slide, p is Holm's over all differences in the same figure, and what an interval with 0 in it or a p "
    "above .05 leaves open is not shown, nor is what one draw alone tells. Where methods were timed in turn, speed "
    "stands beside Image-Level's, which is its ceiling, and waiting is the share of the time in which the networks "
    "wait for pixels."
)


@dataclass(frozen=True)
class WorthReport:
    """The numbers of a table with the words for them.

    `labels` name its rows, in their order, those without a draw too; `facts` say what all of it stands on, `notes` what
    is odd about single rows; `times` are those on prepared slides and, where they were there, on slides as downloaded.
    `promises` are of a row's c in each draw, `switches` how a row's switch sends the slides that need the HRN, where
    that is known, `by_top_k` its mean TA by the patches that the HRN looks at. `beside_paper` where the slides are LKS.
    """

    title: str
    numbers: WorthTable
    evaluations: Evaluations
    labels: Mapping[str, str]
    facts: Mapping[str, str]
    notes: Sequence[str]
    classes: Sequence[str]
    methods: Sequence[MethodScores]
    times: Mapping[str, Mapping[str, MethodTimes]]
    promises: Mapping[str, Mapping[int, SettledRisk]]
    switches: Mapping[str, SwitchScores]
    by_top_k: Mapping[str, Mapping[int, float]]
    beside_paper: bool

    @property
    def rows(self) -> dict[str, RowWorth]:
        """The rows that have a draw, by name."""
        return {row.name: row for row in self.numbers.rows}


def worth_page(report: WorthReport) -> TablesPage:
    """The text of the report."""
    tables = [("Accuracy against LP", _worth_cells(report))]
    if report.numbers.claims:
        tables.append(("Differences", _claim_cells(report)))
    if report.numbers.gains:
        tables.append(("What training and what switching add", _gain_cells(report)))
    if report.methods:
        scores, beside = report.methods, report.beside_paper
        tables.append(("Methods", [list(row) for row in table_3_cells(scores, beside_paper=beside)]))
        of_classes = table_4_cells(scores, report.classes, beside_paper=beside)
        tables.append(("Classes: F1, precision (PR), recall (RE), specificity (SP)", of_classes))
    tables += [(f"Seconds a slide, slides {what}", timing_cells(times)) for what, times in report.times.items()]
    if report.switches:
        tables.append(("Slides sent to the HRN beside those that need it", _switch_cells(report)))
    if report.promises:
        tables.append((f"What c promises, with {CONFIDENCE:.0%} confidence", _promise_cells(report)))
    if report.by_top_k:
        tables.append(("TA by the patches that the HRN looks at", _top_k_cells(report)))
    tables.append(("Each draw", _draw_cells(report)))
    return TablesPage(report.title, report.facts, tables, report.notes, HOW_TO_READ)


def worth_json(report: WorthReport) -> dict[str, Any]:
    """The content of the JSON file, for `medssl_jax.report.json_report.write_json`."""
    return {
        "title": report.title,
        "facts": report.facts,
        "notes": list(report.notes),
        "labels": report.labels,
        **report.numbers._asdict(),
        "classes": list(report.classes),
        "methods": report.methods,
        "times": report.times,
        "promises": report.promises,
        "switches": report.switches,
        "by_top_k": report.by_top_k,
    }


def draw_mean_curves(report: WorthReport) -> "Figure":
    """Mean accuracy over draws against LP: a curve for each switch as it moves, a mark at every row's mean LP.

    The axis is that of the curves; a mark below it stands on its edge, with its accuracy in the legend.
    """
    figure = new_figure(8.0, 5.5)
    axes = figure.add_subplot()
    shares = np.linspace(0, 1, 201)
    curves = {
        name: 100 * mean_curve(list(report.evaluations[name].values()), shares)
        for name, row in report.rows.items()
        if AREA in row.figures
    }
    edge = -np.inf
    if curves:
        every = np.concatenate(list(curves.values()))
        edge = every.min() - 0.1 * max(np.ptp(every), 1.0)
        axes.set_ylim(bottom=edge)
    for place, (name, row) in enumerate(report.rows.items()):
        colour, again = COLOURS[place % len(COLOURS)], place >= len(COLOURS)
        line = "dashed" if again else "solid"
        accuracy = 100 * row.figures[TOTAL_ACCURACY].mean
        is_below = accuracy < edge
        axes.plot(
            *([row.low_share], [edge if is_below else accuracy]),
            color=colour,
            marker=MARKERS[place % len(MARKERS)],
            markerfacecolor="white" if again else colour,
            linestyle=line,
            clip_on=False,
            zorder=3,
            label=report.labels[name] + (f": {accuracy:.1f}, below" if is_below else ""),
        )
        if name in curves:
            axes.plot(shares, curves[name], linestyle=line, color=colour)
    quieten(axes)
    axes.set_xlabel("share of slides settled at low resolution (LP)")
    axes.set_ylabel("total accuracy, %, mean over draws")
    if report.rows:
        axes.legend(frameon=False, loc="best", fontsize=8)
    return figure


def mean_curve(
    evaluations: Sequence[EvaluatedMethod], shares: Float[np.ndarray, " shares"]
) -> Float[np.ndarray, " shares"]:
    """The mean accuracy of several trainings of one method with a switch, at each LP of `shares`."""
    curves = [curve for each in evaluations if (curve := curve_of(each, once(each)))]
    mean: Float[np.ndarray, " shares"] = np.mean(
        [np.interp(shares, curve.low_share[0], curve.accuracy[0]) for curve in curves], axis=0
    )
    return mean


def _worth_cells(report: WorthReport) -> list[list[str]]:
    intervals = ["95 %, slides and trainings", "95 %, trainings"]
    cells = [["method", AREA, *intervals, *AT, TOTAL_ACCURACY, *intervals, "LP", LOW_ACCURACY, "draws"]]
    for name, label in report.labels.items():
        row = report.rows.get(name)
        if row is None:
            cells.append([label, *"-" * (len(cells[0]) - 2), "0"])
            continue
        figures = row.figures
        cells.append(
            [
                *(label, *_figure_cells(figures.get(AREA))),
                *(_mean(figures.get(each)) for each in AT),
                *(*_figure_cells(figures[TOTAL_ACCURACY]), f"{row.low_share:.2f}"),
                *(_mean(figures.get(LOW_ACCURACY)), str(figures[TOTAL_ACCURACY].draws)),
            ]
        )
    return cells


def _claim_cells(report: WorthReport) -> list[list[str]]:
    cells = [["difference", "in", "points", "95 %, slides and trainings", "95 %, trainings", "p, Holm", "draws", ""]]
    for claim in report.numbers.claims:
        cells.append(
            [
                *(f"{report.labels[claim.row]} - {report.labels[claim.other]}", claim.figure),
                *_figure_cells(claim.difference, signed=True),
                *(f"{claim.adjusted_p:.3f}", str(claim.difference.draws)),
                "shown" if claim.is_shown else "not shown",
            ]
        )
    return cells


def _gain_cells(report: WorthReport) -> list[list[str]]:
    cells = [["method", "beside", "gained by", "points", "95 %, slides and trainings", "95 %, trainings", ""]]
    for gain in report.numbers.gains:
        for by, part in (("training", gain.by_training), ("switching", gain.by_switching)):
            told = "shown" if part.is_apart_from_0 else "not shown"
            names = [report.labels[gain.row], report.labels[gain.alone]]
            cells.append([*names, by, *_figure_cells(part, signed=True), told])
    return cells


def _switch_cells(report: WorthReport) -> list[list[str]]:
    cells = [["method", "sent", "need it", "both", "precision", "at random", "recall"]]
    for name, each in report.switches.items():
        counts = [str(count) for count in (each.sent, each.needed, each.sent_and_needed)]
        shares = [f"{share:.2f}" for share in (each.precision, each.chance, each.recall)]
        cells.append([report.labels[name], *counts, *shares])
    return cells


def _promise_cells(report: WorthReport) -> list[list[str]]:
    cells = [
        ["method", "draw", "c", "validation slides settled", "wrongly", "wrong on at most", "wrong on test slides"]
    ]
    for name, of_draws in report.promises.items():
        for draw, each in of_draws.items():
            on_test = "-" if each.on_test is None else f"{each.on_test:.1%}"
            numbers = [f"{each.c:g}", str(each.settled), str(each.wrong), f"{each.at_most:.1%}", on_test]
            cells.append([report.labels[name], str(draw), *numbers])
    return cells


def _top_k_cells(report: WorthReport) -> list[list[str]]:
    cells = [["method", "patches", "TA"]]
    for name, by_count in report.by_top_k.items():
        cells += [[report.labels[name], str(count), f"{100 * accuracy:.2f}"] for count, accuracy in by_count.items()]
    return cells


def _draw_cells(report: WorthReport) -> list[list[str]]:
    draws = sorted({draw for row in report.rows.values() for draw in row.of_draw[TOTAL_ACCURACY]})
    cells = [["method", "in", *(f"draw {draw}" for draw in draws)]]
    for name, row in report.rows.items():
        for figure in (AREA, TOTAL_ACCURACY):
            if of_draw := row.of_draw.get(figure):
                told = [f"{100 * of_draw[draw]:.2f}" if draw in of_draw else "-" for draw in draws]
                cells.append([report.labels[name], figure, *told])
    return cells


def _figure_cells(figure: OverDraws | None, *, signed: bool = False) -> list[str]:
    """Mean and both intervals, in hundredths."""
    if figure is None:
        return ["-"] * 3
    return [
        _hundredths(figure.mean, signed=signed),
        *(_ends(each, signed=signed) for each in (figure.crossed, figure.over_draws)),
    ]


def _mean(figure: OverDraws | None) -> str:
    return "-" if figure is None else _hundredths(figure.mean)


def _ends(interval: Interval | None, *, signed: bool) -> str:
    return "-" if interval is None else " to ".join(_hundredths(end, signed=signed) for end in interval)


def _hundredths(value: float, *, signed: bool = False) -> str:
    return f"{100 * value:+.2f}" if signed else f"{100 * value:.2f}"
