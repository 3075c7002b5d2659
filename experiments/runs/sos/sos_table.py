"""The rows of a table that are runs of SOS or of a method beside it: trained, evaluated, as JSON, the report."""

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from data_builders.lks.lks_files import CLASSES
from experiments.configs import sos
from experiments.runs.sos import sos_training
from experiments.runs.sos.sos_config import SosConfig
from experiments.runs.sos.sos_evaluation import evaluate, seconds_of_methods
from experiments.runs.sos.sos_slides import is_lks, needs_high_resolution, open_slides
from experiments.runs.table.declaration import Table
from experiments.runs.table.table_job import Frame, Printed, Scored, TableJob
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.core.settings import settings_from
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod, Probabilities
from medssl_jax.metrics.slides.method_scores import MethodTimes, scores_of_methods, times_of_methods
from medssl_jax.metrics.slides.sos_comparison import Runs, Truth, has_raw_seconds, scores_of_switch
from medssl_jax.metrics.slides.switch_worth import settled_risk
from medssl_jax.metrics.slides.switching import MeanSeconds
from medssl_jax.metrics.slides.worth_table import worth_table
from medssl_jax.report.figure_style import png_of
from medssl_jax.report.slides.sos_tables import TIMED_ON
from medssl_jax.report.slides.worth_report import WorthReport, draw_mean_curves, worth_json, worth_page
from medssl_jax.run_folder.workdir import only_run_in

LKS = "LKS"
PLAIN = ("name", "seed", "rule", "c", "parameters", "peak_memory_bytes", "slide_batch", "patch_batch")


class Answers(NamedTuple):
    """What a run's method gave to the slides, which of those need the HRN if known, and whether they are LKS's."""

    method: EvaluatedMethod
    needs_high: Truth
    is_lks: bool


def answers_of_run(config: ml_collections.ConfigDict, workdir: Path) -> Answers:
    """Trains as `experiments.sos` does, or goes on from what another row trained there, then evaluates."""
    with only_run_in(workdir):
        trained, source, split = sos_training.train_method(config, workdir)
        method = trained.used_as(settings_from(SosConfig, config))
        name = method.settings.method.name
        evaluated = evaluate({name: method}, source, split, progress_bar("evaluating", "batches"))[name]
    data = method.settings.data
    return Answers(evaluated, needs_high_resolution(data, evaluated.names), is_lks(data, source))


def seconds_in_turn(rows: Mapping[str, tuple[ml_collections.ConfigDict, Path]], slides: int) -> dict[str, Any]:
    """Mean seconds of both parts of each row on up to so many test slides, by how these lie in files."""
    methods = {}
    for row, (config, workdir) in rows.items():
        with only_run_in(workdir):
            trained, source, split = sos_training.train_method(config, workdir)
        methods[row] = trained.used_as(settings_from(SosConfig, config))
    places = np.unique(np.linspace(0, len(split.test) - 1, slides).round().astype(int))
    indices = [split.test[place] for place in places]
    measured = seconds_of_methods(methods, source, indices, progress_bar("timing", "batches"))
    return {
        row: {kind: {"seconds": _plain(each.seconds), "waiting": each.waiting} for kind, each in kinds.items()}
        for row, kinds in measured.items()
    }


def answers_as_json(answers: Answers) -> dict[str, Any]:
    """Every answer that a table tells of, packed, beside the accuracy."""
    method, needs_high, of_lks = answers
    arrays = {
        "names": np.array([name.encode() for name in method.names]),
        "predicted": method.predicted.astype(np.uint8),
        "sent": method.sent,
        "asking": method.asking,
        "needs_high": needs_high,
        **_networks("test", method.test),
        **_networks("validation", method.validation),
        **{f"top_{count}": high for count, high in method.high_by_top_k.items()},
    }
    return {
        "is_lks": of_lks,
        "total_accuracy": float(method.right.mean()),
        "low_share": method.low_share,
        "slides": len(method.names),
        "method": {field: getattr(method, field) for field in PLAIN},
        "seconds_a_slide": _seconds_as_json(method.prepared_seconds, method.raw_seconds),
        "answers": _packed({name: array for name, array in arrays.items() if array is not None}),
    }


def answers_from_json(content: Mapping[str, Any]) -> Answers:
    """Reads what `answers_as_json` gave."""
    with np.load(io.BytesIO(base64.b64decode(content["answers"], validate=True)), allow_pickle=False) as arrays:
        held = dict(arrays)
    prepared_seconds, raw_seconds = _seconds_from_json(content["seconds_a_slide"])

    def networks(part: str) -> Probabilities:
        label = held[f"{part}_label"].astype(np.int64)
        return Probabilities(label, held.get(f"{part}_low"), held.get(f"{part}_high"))

    counts = [int(name.removeprefix("top_")) for name in held if name.startswith("top_")]
    method = EvaluatedMethod(
        **{field: content["method"][field] for field in PLAIN},
        names=tuple(name.decode() for name in held["names"].tolist()),
        predicted=held["predicted"].astype(np.int64),
        sent=held["sent"],
        test=networks("test"),
        validation=networks("validation"),
        prepared_seconds=prepared_seconds,
        raw_seconds=raw_seconds,
        high_by_top_k={count: held[f"top_{count}"] for count in counts},
        asking=held.get("asking"),
    )
    return Answers(method, held.get("needs_high"), content["is_lks"])


def answers_report(table: Table, scored: Scored, frame: Frame) -> WorthReport:
    """The numbers and words of a table, as far as its runs are done.

    Raises `InputError` where runs were evaluated on other slides or in other batches than those beside them.
    """
    results = [each for of_draws in scored.values() for each in of_draws.values()]
    _require_alike([each.method for each in results])
    evaluations = {
        row.name: {
            draw: dataclasses.replace(each.method, name=row.label, **_seconds_in(frame, row.name))
            for draw, each in scored[row.name].items()
        }
        for row in table.rows
    }
    done = {name: list(of_draws.values()) for name, of_draws in evaluations.items() if of_draws}
    by_label = {of_row[0].name: of_row for of_row in done.values()}
    truth = results[0].needs_high if results else None
    on_lks = bool(results) and all(each.is_lks for each in results)
    promises = {
        name: {draw: risk for draw, each in of_draws.items() if (risk := settled_risk(each))}
        for name, of_draws in evaluations.items()
    }
    return WorthReport(
        title=table.title,
        numbers=worth_table(evaluations, differences=table.differences, gains=table.gains, bootstraps=frame.bootstraps),
        evaluations=evaluations,
        labels=frame.labels,
        facts={
            "data": "slides in LKS's layout, not its own" if frame.about == LKS and not on_lks else frame.about,
            "test slides": str(len(results[0].method.names)) if results else "-",
            **frame.facts,
            "seconds": frame.timed or "of each run by itself, beside whatever else its machine did",
        },
        notes=frame.notes,
        classes=CLASSES,
        methods=scores_of_methods(by_label, len(CLASSES)) if by_label else [],
        times=_times(frame, {name: done[name] for name in done if name in frame.seconds}, by_label),
        promises={name: of_draws for name, of_draws in promises.items() if of_draws},
        switches={name: found for name, each in done.items() if (found := scores_of_switch(each, truth))},
        by_top_k={name: tried for name, each in done.items() if (tried := _mean_by_top_k(each))},
        beside_paper=on_lks and frame.about == LKS and frame.is_as_declared,
    )


def printed_answers(table: Table, report: WorthReport) -> Printed:
    """The report in its four forms."""
    text, picture = worth_page(report), png_of(draw_mean_curves(report))
    return Printed(text.markdown(), text.html(figure=picture), worth_json(report), picture)


def _times(
    frame: Frame, measured: Mapping[str, Sequence[EvaluatedMethod]], by_label: Runs
) -> dict[str, dict[str, MethodTimes]]:
    """Times by how slides lie in files: of the rows that were `measured` in turn, else those of each run by itself."""
    if not frame.seconds:
        kinds = (True, False) if by_label and has_raw_seconds(by_label) else (False,)
        return {TIMED_ON[raw]: times_of_methods(by_label, raw=raw) for raw in kinds} if by_label else {}
    found: dict[str, dict[str, MethodTimes]] = {}
    for kind in next(iter(frame.seconds.values())) if measured else ():
        on_kind = {
            of_row[0].name: [
                dataclasses.replace(each, prepared_seconds=_known(frame.seconds[row][kind]["seconds"]))
                for each in of_row
            ]
            for row, of_row in measured.items()
        }
        waiting = {of_row[0].name: frame.seconds[row][kind]["waiting"] for row, of_row in measured.items()}
        times = times_of_methods(on_kind, raw=False)
        found[kind] = {label: each._replace(waiting=waiting[label]) for label, each in times.items()}
    return found


def _seconds_in(frame: Frame, row: str) -> dict[str, MeanSeconds | None]:
    """The seconds that were measured in turn; where some rows were, the others have none that may stand beside them."""
    if not frame.seconds:
        return {}
    unknown = MeanSeconds(float("nan"), float("nan"))
    if row not in frame.seconds:
        return {"prepared_seconds": unknown, "raw_seconds": unknown}
    raw, prepared = (frame.seconds[row].get(TIMED_ON[is_raw]) for is_raw in (True, False))
    if prepared is None:
        found, wanted = ", ".join(frame.seconds[row]), TIMED_ON[False]
        raise InputError(f"seconds of row {row}: found {found}, expected {wanted} among them: measure with --seconds")
    return {
        "prepared_seconds": _known(prepared["seconds"]),
        "raw_seconds": None if raw is None else _known(raw["seconds"]),
    }


def _seconds_as_json(prepared: MeanSeconds, raw: MeanSeconds | None) -> dict[str, list[float | None] | None]:
    return {"prepared": _plain(prepared), "raw": None if raw is None else _plain(raw)}


def _seconds_from_json(content: Mapping[str, Any]) -> tuple[MeanSeconds, MeanSeconds | None]:
    raw = content["raw"]
    return _known(content["prepared"]), None if raw is None else _known(raw)


def _plain(seconds: MeanSeconds) -> list[float | None]:
    """The two means, None for one that is not known."""
    return [None if np.isnan(each) else each for each in seconds]


def _known(seconds: Sequence[float | None]) -> MeanSeconds:
    low, high = (float("nan") if each is None else each for each in seconds)
    return MeanSeconds(low, high)


def _require_alike(methods: Sequence[EvaluatedMethod]) -> None:
    for field, what in (("names", "test slides"), ("slide_batch", "batch"), ("patch_batch", "batch")):
        if len({getattr(each, field) for each in methods}) > 1:
            raise InputError(
                f"results: found {field} that differ, expected one choice of {what} in a table: make those of other "
                "slides or batches again"
            )


def _mean_by_top_k(evaluations: Sequence[EvaluatedMethod]) -> dict[int, float]:
    right = [each.right_by_top_k() for each in evaluations]
    return {
        count: float(np.mean([each[count] for each in right]))
        for count in right[0]
        if all(count in each for each in right)
    }


def _networks(part: str, said: Probabilities) -> dict[str, np.ndarray | None]:
    return {f"{part}_label": said.label.astype(np.uint8), f"{part}_low": said.low, f"{part}_high": said.high}


def _packed(arrays: Mapping[str, np.ndarray]) -> str:
    """The arrays as a compressed .npz, in base64: some 50 bytes a slide."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _prepared(config: ml_collections.ConfigDict) -> None:
    open_slides(settings_from(SosConfig, config).data)


SOS = TableJob(
    kind=SosConfig,
    parent=sos.get_config,
    prepare=_prepared,
    run=answers_of_run,
    pack=answers_as_json,
    unpack=answers_from_json,
    report=answers_report,
    printed=printed_answers,
    after_training=("inference.", "method.name"),
    time=seconds_in_turn,
)
