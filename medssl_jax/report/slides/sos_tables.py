"""Table 3 (methods) and Table 4 (classes) of the SOS paper, ours with the paper's figures to set beside.

The paper's figures are those of LKS's 205 test slides. They stand beside ours only where ours are of LKS too; for other
data they come under a heading of their own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from medssl_jax.metrics.classification import Estimate, accuracy_of_counts, class_scores
from medssl_jax.metrics.sos_comparison import (
    Runs,
    has_raw_seconds,
    mean_accuracy,
    mean_low_accuracy,
    mean_low_share,
    mean_seconds_of,
    mean_seconds_per_slide,
    peak_memory_bytes,
    relative_size_in,
    speed_boost_in,
    summed_confusion,
)
from medssl_jax.metrics.sos_methods import MULTI_SCALE
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


def both_tables(runs: Runs, classes: Sequence[str], *, is_lks: bool, markdown: bool = False) -> str:
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
        table_3(runs, beside_paper=is_lks, markdown=markdown),
        "Peak memory is the compiler's account of the largest compiled program: parameters, images and scratch, with "
        f"inference.slide_batch = {first.slide_batch} and inference.patch_batch = {first.patch_batch}.",
        heading("Classes: F1, precision (PR), recall (RE), specificity (SP)", markdown=markdown),
        table_4(runs, classes, beside_paper=is_lks, markdown=markdown),
    ]
    if not is_lks:
        paper = heading(PAPER_HEADING, markdown=markdown)
        parts += [paper, paper_table_3(markdown=markdown), paper_table_4(markdown=markdown)]
    return "\n\n".join(parts)


def table_3(runs: Runs, *, beside_paper: bool, markdown: bool = False) -> str:
    """One line a method; `beside_paper` puts the paper's line under each method that it has."""
    rows: list[Sequence[str]] = [TABLE_3_COLUMNS]
    for name in runs:
        rows.append(_method_cells(runs, name))
        if beside_paper and name in PAPER:
            rows.append(_paper_cells("  paper", PAPER[name]))
    return text_table(rows, markdown=markdown)


def table_4(runs: Runs, classes: Sequence[str], *, beside_paper: bool, markdown: bool = False) -> str:
    """One line a class and method; `beside_paper` adds the paper's four columns."""
    label = next(iter(runs.values()))[0].test.label
    slides = {name: int((label == place).sum()) for place, name in enumerate(classes)}
    scores = {method: class_scores(summed_confusion(runs[method], len(classes))) for method in runs}

    def cells(method: str, name: str) -> list[str]:
        ours = [_number(float(score[classes.index(name)]), ".4f") for score in scores[method]]
        paper = PAPER[method].class_scores.get(name) if method in PAPER else None
        return ours + (_four_digits(paper or [math.nan] * len(SCORES)) if beside_paper else [])

    header = [*SCORES, *(f"paper {score}" for score in SCORES if beside_paper)]
    return _class_table(header, slides, runs, cells, markdown=markdown)


def paper_table_3(*, markdown: bool = False) -> str:
    """The paper's Table 3; the intervals are ours, Wilson's of its counts."""
    rows = [TABLE_3_COLUMNS, *(_paper_cells(name, row) for name, row in PAPER.items())]
    shown = [place for place in range(len(TABLE_3_COLUMNS)) if any(row[place] != "-" for row in rows[1:])]
    return text_table([[row[place] for place in shown] for row in rows], markdown=markdown)


def paper_table_4(*, markdown: bool = False) -> str:
    """The paper's Table 4."""

    def cells(method: str, name: str) -> list[str]:
        return _four_digits(PAPER[method].class_scores[name])

    return _class_table(SCORES, PAPER_SLIDES, PAPER, cells, markdown=markdown)


def timing_tables(runs: Runs, *, markdown: bool = False) -> Iterator[str]:
    """IT and SB taken apart, on slides as downloaded, where they are there, and prepared, each below its heading."""
    for raw in (True, False) if has_raw_seconds(runs) else (False,):
        yield heading(f"Seconds a slide, slides {TIMED_ON[raw]}", markdown=markdown)
        yield timing_table(runs, raw=raw, markdown=markdown)


def timing_table(runs: Runs, *, raw: bool, markdown: bool = False) -> str:
    """The parts of IT: mean seconds of the LRN's part, of the HRN's part where it ran, and LP."""
    rows = [["method", "LRN's part s", "HRN's part s", "LP", "IT s", "SB"]]
    for name, evaluations in runs.items():
        low, high = map(_seconds, mean_seconds_of(evaluations, raw=raw))
        rows.append([name, low, high, f"{mean_low_share(evaluations):.2f}", *_time_cells(runs, name, raw=raw)])
    return text_table(rows, markdown=markdown)


def _class_table(
    header: Sequence[str],
    slides: Mapping[str, int],
    methods: Iterable[str],
    cells: Callable[[str, str], list[str]],
    *,
    markdown: bool,
) -> str:
    """A line for each class, with its number of `slides`, and method; `cells` are those of a method and a class."""
    rows = [["class", "method", *header]]
    for name, number in slides.items():
        for line, method in enumerate(methods):
            rows.append(["" if line else f"{name} ({number})", method, *cells(method, name)])
    return text_table(rows, markdown=markdown, names=2)


def _method_cells(runs: Runs, name: str) -> list[str]:
    evaluations = runs[name]
    low_accuracy = mean_low_accuracy(evaluations)
    right = sum(int(each.right.sum()) for each in evaluations) / len(evaluations)
    return [
        name,
        *_accuracy_cells(mean_accuracy(evaluations)),
        f"{right:.0f}" if len(evaluations) == 1 else f"{right:.1f}",
        _number(relative_size_in(runs, name), ".2f"),
        f"{evaluations[0].parameters / 1e6:.2f} M",
        f"{peak_memory_bytes(evaluations) / 1e9:.2f} GB",
        *_time_cells(runs, name, raw=has_raw_seconds(runs)),
        f"{mean_low_share(evaluations):.2f}",
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


def _time_cells(runs: Runs, name: str, *, raw: bool) -> list[str]:
    """IT and SB."""
    seconds = mean_seconds_per_slide(runs[name], raw=raw)
    return [_seconds(seconds), _number(speed_boost_in(runs, name, raw=raw), ".2f")]


def _four_digits(scores: Iterable[float]) -> list[str]:
    return [_number(score, ".4f") for score in scores]


def _seconds(value: float) -> str:
    return _number(value, ".3f" if value < 1 else ".2f")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"
