"""Table 3 (methods) and Table 4 (classes) of the SOS paper, ours with the paper's figures to set beside.

The paper's figures are those of LKS's 205 test slides. They stand beside ours only where ours are of LKS too; for other
data they come under a heading of their own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from medssl_jax.metrics.slides.classification import Estimate, accuracy_of_counts
from medssl_jax.metrics.slides.method_scores import MethodScores, MethodTimes, times_of_methods
from medssl_jax.metrics.slides.sos_comparison import Runs, has_raw_seconds
from medssl_jax.metrics.slides.sos_methods import MULTI_SCALE
from medssl_jax.report.slides.sos_paper import PAPER, PAPER_SLIDES, PaperRow
from medssl_jax.report.text_table import text_table

TIMED_ON = {True: "as downloaded", False: "as prepared"}  # raw or not
PAPER_HEADING = "The paper's results on LKS (205 test slides), which the data above is not"
TABLE_3_COLUMNS = (
    "method",
    "TA %",
    "95 % interval",
    "right",
    "RS",
    "parameters",
    "peak memory",
    "IT s",
    "SB",
    "LP",
    "LRN's TA %",
)
SCORES = ("F1", "PR", "RE", "SP")


def heading(text: str, *, markdown: bool) -> str:
    """The line above a table."""
    return f"## {text}" if markdown else text


def both_tables(
    runs: Runs, scores: Sequence[MethodScores], classes: Sequence[str], *, is_lks: bool, markdown: bool = False
) -> str:
    """Table 3 and Table 4 with their headings; where the data is not LKS, the paper's tables follow.

    IT and SB are those of slides as downloaded, where they are there.
    """
    first = next(iter(runs.values()))[0]
    parts = [
        heading(
            f"Methods: total accuracy (TA), size (RS), seconds a slide (IT) and speed against {MULTI_SCALE} (SB) on "
            f"slides {TIMED_ON[has_raw_seconds(runs)]}, share settled at low resolution (LP)",
            markdown=markdown,
        ),
        table_3(scores, beside_paper=is_lks, markdown=markdown),
        "Peak memory is the compiler's account of the largest compiled program: parameters, images and scratch, with "
        f"inference.slide_batch = {first.slide_batch} and inference.patch_batch = {first.patch_batch}.",
        heading("Classes: F1, precision (PR), recall (RE), specificity (SP)", markdown=markdown),
        table_4(scores, classes, beside_paper=is_lks, markdown=markdown),
    ]
    if not is_lks:
        paper = heading(PAPER_HEADING, markdown=markdown)
        parts += [paper, paper_table_3(markdown=markdown), paper_table_4(markdown=markdown)]
    return "\n\n".join(parts)


def table_3(scores: Sequence[MethodScores], *, beside_paper: bool, markdown: bool = False) -> str:
    """The cells of `table_3_cells` as text."""
    return text_table(table_3_cells(scores, beside_paper=beside_paper), markdown=markdown)


def table_3_cells(scores: Sequence[MethodScores], *, beside_paper: bool) -> list[Sequence[str]]:
    """A header and one line a method; `beside_paper` puts the paper's line under each method that it has."""
    rows: list[Sequence[str]] = [TABLE_3_COLUMNS]
    for each in scores:
        rows.append(_method_cells(each))
        if beside_paper and each.method in PAPER:
            rows.append(_paper_cells("  paper", PAPER[each.method]))
    return rows


def table_4(
    scores: Sequence[MethodScores], classes: Sequence[str], *, beside_paper: bool, markdown: bool = False
) -> str:
    """The cells of `table_4_cells` as text."""
    return text_table(table_4_cells(scores, classes, beside_paper=beside_paper), markdown=markdown, names=2)


def table_4_cells(scores: Sequence[MethodScores], classes: Sequence[str], *, beside_paper: bool) -> list[list[str]]:
    """A header and one line a class and method; `beside_paper` adds the paper's four columns."""
    slides = (scores[0].confusion.sum(axis=1) // scores[0].runs).tolist()
    ours = {each.method: dict(zip(classes, np.transpose(each.class_scores), strict=True)) for each in scores}

    def cells(method: str, name: str) -> list[str]:
        paper = PAPER[method].class_scores.get(name) if method in PAPER else None
        of_paper = paper or [math.nan] * len(SCORES)
        return _four_digits([*ours[method][name], *(of_paper if beside_paper else ())])

    header = [*SCORES, *(f"paper {score}" for score in SCORES if beside_paper)]
    return _class_cells(header, dict(zip(classes, slides, strict=True)), ours, cells)


def paper_table_3(*, markdown: bool = False) -> str:
    """The paper's Table 3; the intervals are ours, Wilson's of its counts."""
    rows = [TABLE_3_COLUMNS, *(_paper_cells(name, row) for name, row in PAPER.items())]
    shown = [place for place in range(len(TABLE_3_COLUMNS)) if any(row[place] != "-" for row in rows[1:])]
    return text_table([[row[place] for place in shown] for row in rows], markdown=markdown)


def paper_table_4(*, markdown: bool = False) -> str:
    """The paper's Table 4."""

    def cells(method: str, name: str) -> list[str]:
        return _four_digits(PAPER[method].class_scores[name])

    return text_table(_class_cells(SCORES, PAPER_SLIDES, PAPER, cells), markdown=markdown, names=2)


def timing_tables(runs: Runs, *, markdown: bool = False) -> Iterator[str]:
    """IT and SB taken apart, on slides as downloaded, where they are there, and prepared, each below its heading."""
    for raw in (True, False) if has_raw_seconds(runs) else (False,):
        yield heading(f"Seconds a slide, slides {TIMED_ON[raw]}", markdown=markdown)
        yield timing_table(times_of_methods(runs, raw=raw), markdown=markdown)


def timing_table(times: Mapping[str, MethodTimes], *, markdown: bool = False) -> str:
    """The cells of `timing_cells` as text."""
    return text_table(timing_cells(times), markdown=markdown)


def timing_cells(times: Mapping[str, MethodTimes]) -> list[list[str]]:
    """The parts of IT: mean seconds of the LRN's part, of the HRN's part where it ran, and LP.

    Where waiting was measured also the share of the time in it, and the speed beside its ceiling, Image-Level's.
    """
    measured = any(each.waiting is not None for each in times.values())
    rows = [["method", "LRN's part s", "HRN's part s", "LP", "IT s", "SB"]]
    if measured:
        rows[0] += ["of Image-Level's speed %", "waiting %"]
    for name, each in times.items():
        cells = [_seconds(each.low), _seconds(each.high), f"{each.low_share:.2f}", _seconds(each.per_slide)]
        rows.append([name, *cells, _number(each.speed_boost, ".2f")])
        if measured:
            rows[-1] += [_percent(each.of_ceiling), _percent(each.waiting)]
    return rows


def _class_cells(
    header: Sequence[str],
    slides: Mapping[str, int],
    methods: Iterable[str],
    cells: Callable[[str, str], list[str]],
) -> list[list[str]]:
    """A line for each class, with its number of `slides`, and method; `cells` are those of a method and a class."""
    rows = [["class", "method", *header]]
    for name, number in slides.items():
        for line, method in enumerate(methods):
            rows.append(["" if line else f"{name} ({number})", method, *cells(method, name)])
    return rows


def _method_cells(scores: MethodScores) -> list[str]:
    low_accuracy = scores.low_network_accuracy
    right = np.trace(scores.confusion) / scores.runs
    return [
        scores.method,
        *_accuracy_cells(scores.total_accuracy),
        f"{right:.0f}" if scores.runs == 1 else f"{right:.1f}",
        _number(scores.relative_size, ".2f"),
        f"{scores.parameters / 1e6:.2f} M",
        f"{scores.peak_memory_bytes / 1e9:.2f} GB",
        _seconds(scores.seconds_per_slide),
        _number(scores.speed_boost, ".2f"),
        f"{scores.low_share:.2f}",
        "-" if low_accuracy is None else f"{100 * low_accuracy.value:.2f}",
    ]


def _paper_cells(name: str, row: PaperRow) -> list[str]:
    return [
        name,
        *_accuracy_cells(accuracy_of_counts(row.right, sum(PAPER_SLIDES.values()))),
        str(row.right),
        f"{row.relative_size:.2f}",
        "-",
        "-",
        f"{row.seconds_per_slide:.2f}",
        f"{row.speed_boost:.2f}",
        _number(row.low_share, ".2f"),
        "-",
    ]


def _accuracy_cells(accuracy: Estimate) -> list[str]:
    value, low, high = (100 * end for end in accuracy)
    return [f"{value:.2f}", f"{low:.2f} to {high:.2f}"]


def _four_digits(scores: Iterable[float]) -> list[str]:
    return [_number(score, ".4f") for score in scores]


def _seconds(value: float) -> str:
    return _number(value, ".3f" if value < 1 else ".2f")


def _percent(share: float | None) -> str:
    return _number(None if share is None else 100 * share, ".0f")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"
