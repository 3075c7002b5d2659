"""The rows of a table that are runs of FocalMix: trained and scored, their marks as JSON, the report over draws."""

import base64
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ml_collections
import numpy as np

from data_builders.scan_source import ScanSource
from experiments.configs import focalmix
from experiments.runs.focalmix import focalmix_job
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.scans import prepared_scans
from experiments.runs.table.declaration import Table
from experiments.runs.table.table_job import Frame, Printed, Scored, TableJob
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.imaging.luna16_csv import is_luna16
from medssl_jax.metrics.nodules.draws_table import draw_scores, draws_table
from medssl_jax.metrics.nodules.matching import Outcome, joined
from medssl_jax.report.figure_style import png_of
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
from medssl_jax.steps.focalmix_settings import PSEUDO, SURE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LUNA16 = "LUNA16"
# A gradient takes about as long as three passes forwards.
PASSES_OF_A_GRADIENT = 3
BEYOND = 3  # a resample of few scans may have half the false positives a scan, hardly a third
KEPT_SCORE = "entry_probability"  # the name of `entry_score` in results that are kept
MARKS = ("series_uids", "nodules_per_scan", "entry_scan", "entry_is_hit", "entry_score")


class Detections(NamedTuple):
    """The scored marks of a run, the rates of the score, and whether the scans are LUNA16's 888."""

    outcome: Outcome
    fps_per_scan: tuple[float, ...]
    is_luna16: bool


def forward_passes(config: ml_collections.ConfigDict) -> int:
    """What a training step computes, in passes of one patch forwards through the network."""
    patches = config.patches
    trained = PASSES_OF_A_GRADIENT * (patches.labelled_batch + patches.unlabelled_batch)
    views = config.ssl.views if config.ssl.targets in (PSEUDO, SURE) else 0
    return trained + views * patches.unlabelled_batch


def detections_of_run(config: ml_collections.ConfigDict, workdir: Path) -> Detections:
    """Trains and scores as `experiments.focalmix` does, in a folder that `experiments.reproduce` takes."""
    result = focalmix_job.run(config, workdir)
    on_luna16 = any(is_luna16(source.metadata) for source in _prepared(config))
    return Detections(result.outcome, result.fps_per_scan, on_luna16)


def detections_as_json(detections: Detections) -> dict[str, Any]:
    """The marks that a score goes by, packed, beside the CPM."""
    outcome, rates, on_luna16 = detections
    return {
        "is_luna16": on_luna16,
        "fps_per_scan": list(rates),
        "cpm": float(draw_scores([outcome], fps_per_scan=rates, bootstraps=1).of_draw[0]),
        "scans": len(outcome.series_uids),
        "nodules": int(outcome.nodules_per_scan.sum()),
        "counts": {name: value for name, value in vars(outcome).items() if name not in MARKS},
        "marks": _packed(_that_score(outcome, max(rates))),
    }


def detections_from_json(content: Mapping[str, Any]) -> Detections:
    """Reads what `detections_as_json` gave."""
    outcome = _unpacked(content["marks"], content["counts"])
    return Detections(outcome, tuple(content["fps_per_scan"]), content["is_luna16"])


def detections_report(table: Table, scored: Scored, frame: Frame) -> DrawsReport:
    """The numbers and words of a table, as far as its runs are done.

    Raises `InputError` where runs were scored at other false-positive rates or on other scans than those beside them.
    """
    results = [each for of_draws in scored.values() for each in of_draws.values()]
    rates = {each.fps_per_scan for each in results}
    if len(rates) > 1:
        raise InputError(
            f"results: found scores at the false positives {' and '.join(map(str, sorted(rates)))} a scan, expected "
            "one choice in a table: make those of other rates again"
        )
    outcomes = _outcomes(table, scored)
    numbers = draws_table(
        outcomes,
        differences=table.differences,
        shares=table.shares,
        bootstraps=frame.bootstraps,
        **({"fps_per_scan": rates.pop()} if rates else {}),
    )
    on_luna16 = bool(results) and all(each.is_luna16 for each in results)
    elsewhere = frame.about == LUNA16 and not on_luna16
    return DrawsReport(
        title=table.title,
        numbers=numbers,
        labels=frame.labels,
        facts={
            "data": "scans in LUNA16's layout, not its 888 scans" if elsewhere else frame.about,
            "test scans": _sizes(outcomes),
            **frame.facts,
        },
        notes=frame.notes,
        paper=_paper_of(table) if on_luna16 and frame.about == LUNA16 and frame.is_as_declared else {},
    )


def printed_detections(table: Table, report: DrawsReport) -> Printed:
    """The report in its four forms."""
    picture = png_of(_figure(table, report))
    return Printed(report_markdown(report), report_page(report, figure=picture), report_json(report), picture)


def _prepared(config: ml_collections.ConfigDict) -> tuple[ScanSource, ...]:
    return prepared_scans(settings_from(FocalMixConfig, config).data)


def _that_score(outcome: Outcome, most_fps: float) -> Outcome:
    """The best marks, up to `BEYOND` times the largest rate of false positives: no resample of scans reads further."""
    false_positives = np.cumsum(~outcome.entry_is_hit)
    kept = int(np.searchsorted(false_positives, BEYOND * most_fps * len(outcome.series_uids), side="right"))
    entries = ("entry_scan", "entry_is_hit", "entry_score")
    return dataclasses.replace(outcome, **{name: getattr(outcome, name)[:kept] for name in entries})


def _packed(outcome: Outcome) -> str:
    """The arrays as a compressed .npz, in base64: about 5 bytes a mark."""
    single = outcome.entry_score.astype(np.float32)
    exact = single.astype(np.float64) == outcome.entry_score
    arrays = {
        "series_uids": np.array([uid.encode() for uid in outcome.series_uids]),
        "nodules_per_scan": outcome.nodules_per_scan.astype(np.uint16),
        "entry_scan": outcome.entry_scan.astype(np.uint16),
        "entry_is_hit": outcome.entry_is_hit,
        KEPT_SCORE: single if exact.all() else outcome.entry_score,
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _unpacked(marks: str, counts: Mapping[str, int]) -> Outcome:
    with np.load(io.BytesIO(base64.b64decode(marks, validate=True)), allow_pickle=False) as arrays:
        return Outcome(
            series_uids=tuple(uid.decode() for uid in arrays["series_uids"].tolist()),
            nodules_per_scan=arrays["nodules_per_scan"].astype(np.int64),
            entry_scan=arrays["entry_scan"].astype(np.int64),
            entry_is_hit=arrays["entry_is_hit"],
            entry_score=arrays[KEPT_SCORE].astype(np.float64),
            **counts,
        )


def _outcomes(table: Table, scored: Scored) -> dict[str, dict[int, Outcome]]:
    """The outcome of each draw of each row, and of lines that are joined of several rows."""
    outcomes = {name: {draw: each.outcome for draw, each in of_draws.items()} for name, of_draws in scored.items()}
    for line in table.joined:
        parts = [outcomes[name] for name in line.rows]
        whole = [draw for draw in parts[0] if all(draw in part for part in parts)]
        outcomes[line.name] = {draw: joined([part[draw] for part in parts]) for draw in whole}
    return outcomes


def _sizes(outcomes: Mapping[str, Mapping[int, Outcome]]) -> str:
    sizes = {
        (len(outcome.series_uids), int(outcome.nodules_per_scan.sum()))
        for of_draws in outcomes.values()
        for outcome in of_draws.values()
    }
    return "; ".join(f"{scans} with {nodules} nodules" for scans, nodules in sorted(sizes)) or "-"


def _paper_of(table: Table) -> dict[str, PaperResult]:
    beside = {f"paper: {line.label}": line.paper for line in table.lines if line.paper is not None}
    return beside | {f"paper: {label}": result for label, result in table.cited.items()}


def _figure(table: Table, report: DrawsReport) -> "Figure":
    if table.plot == "sweep":
        return draw_sweep(report, {row.name: row.x for row in table.rows if row.x is not None}, table.x_name)
    return {"froc": draw_mean_froc, "rows": draw_rows}[table.plot](report)


FOCALMIX = TableJob(
    kind=FocalMixConfig,
    parent=focalmix.get_config,
    prepare=_prepared,
    run=detections_of_run,
    pack=detections_as_json,
    unpack=detections_from_json,
    report=detections_report,
    printed=printed_detections,
    passes=forward_passes,
)
