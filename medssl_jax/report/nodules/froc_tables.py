"""Tables of sensitivities, as aligned text and as Markdown, with the paper's rows to set beside ours.

All values are fractions, as in `froc.json`; the columns are false positives per scan, then their mean (CPM).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.bootstrap import Interval
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN, FrocResult
from medssl_jax.metrics.nodules.matching import MARKS_PER_SCAN
from medssl_jax.report.text_table import text_table


class PaperResult(NamedTuple):
    """One detector's seven sensitivities, or none where only its CPM is told; the paper has no interval."""

    sensitivity: tuple[float, ...]
    cpm: float
    cpm_interval_95: None = None


# Wang et al., FocalMix, CVPR 2020, Table 1, by (labelled scans, unlabelled scans).
PAPER_TABLE_1: dict[tuple[int, int], PaperResult] = {
    (25, 0): PaperResult((0.467, 0.540, 0.606, 0.686, 0.744, 0.791, 0.824), 0.666),
    (25, 400): PaperResult((0.576, 0.645, 0.746, 0.805, 0.870, 0.901, 0.921), 0.781),
    (50, 0): PaperResult((0.572, 0.657, 0.714, 0.779, 0.826, 0.856, 0.872), 0.754),
    (50, 400): PaperResult((0.641, 0.710, 0.787, 0.852, 0.893, 0.923, 0.935), 0.820),
    (100, 0): PaperResult((0.649, 0.738, 0.797, 0.852, 0.890, 0.923, 0.945), 0.828),
    (100, 400): PaperResult((0.734, 0.809, 0.848, 0.886, 0.923, 0.947, 0.961), 0.872),
}


def paper_results(labelled: int) -> dict[str, PaperResult]:
    """The paper's supervised and FocalMix results for 25, 50 or 100 labelled scans; none for another number."""
    return {
        f"paper: {scans} labelled" + (f" + {unlabelled} unlabelled" if unlabelled else ""): result
        for (scans, unlabelled), result in PAPER_TABLE_1.items()
        if scans == labelled
    }


def sensitivity_table(
    results: Mapping[str, FrocResult | PaperResult],
    *,
    fps_per_scan: Sequence[float] = FPS_PER_SCAN,
    markdown: bool = False,
) -> str:
    """One line a named result, all scored at `fps_per_scan`: sensitivities, CPM, its 95 % interval if there is one."""
    header = ["FP/scan", *rates_in_words(fps_per_scan), "CPM", "95 % interval"]
    lines = [
        [name, *(f"{value:.3f}" for value in (*result.sensitivity, result.cpm)), _interval(result.cpm_interval_95)]
        for name, result in results.items()
    ]
    return text_table([header, *lines], markdown=markdown)


def result_table(result: FrocResult) -> str:
    """One result in full: each sensitivity and CPM above the two ends of its 95 % interval."""
    intervals = (*result.sensitivity_interval_95, result.cpm_interval_95)
    return text_table(
        [
            ["FP/scan", *rates_in_words(result.fps_per_scan), "CPM"],
            ["sensitivity", *(f"{value:.3f}" for value in (*result.sensitivity, result.cpm))],
            ["95 % low", *(f"{interval.low:.3f}" for interval in intervals)],
            ["95 % high", *(f"{interval.high:.3f}" for interval in intervals)],
        ]
    )


def scored_lines(result: FrocResult, marks: Marks, annotations: Findings) -> str:
    """The counts behind a score, so that a scan list that does not fit the submission is seen at once."""
    with_nodules = int((result.outcome.nodules_per_scan > 0).sum())
    without_marks = result.scans - len(set(marks.series_uid))
    lines = [
        f"{result.scans} scans: {with_nodules} with nodules, {without_marks} without a mark",
        f"{result.nodules} nodules: {result.true_positives} found, {result.false_negatives} missed",
        f"{len(marks)} marks, {result.candidates_after_cap} of them within {MARKS_PER_SCAN} a scan: "
        f"{result.false_positives} false positives, {result.ignored_on_excluded} on excluded findings, "
        f"{result.ignored_double_detections} further hits on a nodule",
    ]
    if not len(marks):
        lines.append("warning: the submission holds no mark on any scan: is it the right file?")
    if left_out := len(annotations) - result.nodules:
        lines.append(f"{left_out} annotated nodules of series outside the list left out")
    return "\n".join(lines)


def rates_in_words(fps_per_scan: Sequence[float]) -> list[str]:
    """The heads of the columns of sensitivities."""
    return [f"{rate:.3g}" for rate in fps_per_scan]


def _interval(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
