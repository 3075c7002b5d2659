"""Tables of SOS: a result holds every answer, rows share trainings, the paper stands beside its own slides alone."""

import dataclasses
import json
import re

import numpy as np
import pytest

from experiments.runs.sos.sos_table import SOS, Answers, printed_answers
from experiments.runs.table.table_report import table_report, write_report
from experiments.runs.table.table_results import Finished, read_result, result_path, write_result
from experiments.runs.table.table_seconds import read_seconds, time_rows
from experiments.runs.table.table_work import make_runs, results_known, standing
from experiments.runs.table.tables import DATA_SETS, load_table, runs_of
from medssl_jax.core.errors import InputError
from medssl_jax.metrics.slides.switching import MeanSeconds
from medssl_jax.report.slides.worth_report import draw_mean_curves

ENVIRONMENT = {
    "code": {"commit": "0123456789abcdef", "is_clean": True},
    "devices": {"kind": "a processor", "count": 1},
    "versions": {"jax": "1"},
}
NEEDS_HIGH = np.arange(40) < 10


@pytest.fixture
def answered(evaluation):
    """Makes what a config's run comes to, without the run."""

    def make(config, *, is_lks=False, **changes):
        rule = config.inference.rule
        asking = np.random.default_rng(config.seed).normal(size=40) if rule in ("policy", "deferral") else None
        made = evaluation(config.method.name, rule=rule, seed=config.seed, c=config.inference.c, asking=asking)
        answers = Answers(dataclasses.replace(made, **changes), NEEDS_HIGH, is_lks)
        return Finished(answers, {"train": 3, "data_fingerprint": "f"}, (ENVIRONMENT,), 60.0)

    return make


def runs_on(data, **asked):
    return runs_of(load_table("sos", data), data, **asked)


@pytest.mark.parametrize("row", ["image", "patch", "sos", "deferral"])
def test_what_was_written_is_read(row, answered, tmp_path):
    (run,) = runs_on("telling_phantom", rows=[row], draws=[1])
    high = np.random.default_rng(0).random((40, 4)).astype(np.float32)
    unknown = MeanSeconds(0.5, float("nan"))
    then = answered(run.config, high_by_top_k={4: high}, raw_seconds=None, prepared_seconds=unknown)
    (tmp_path / "results").mkdir()
    path = result_path(tmp_path, run, "sos")
    write_result(path, "sos", run, then)
    result = read_result(path)
    assert result.answers_for(run)
    now, before = result.finished.scored.method, then.scored.method
    for field, value in vars(before).items():
        found = getattr(now, field)
        if dataclasses.is_dataclass(value):
            for part, array in vars(value).items():
                np.testing.assert_array_equal(getattr(found, part), array, err_msg=f"{field}.{part}")
        else:
            np.testing.assert_equal(found, value, err_msg=field)
    np.testing.assert_array_equal(result.finished.scored.needs_high, NEEDS_HIGH)
    content = json.loads(path.read_text())
    assert content["total_accuracy"] == pytest.approx(before.right.mean())
    path.write_text(json.dumps(content | {"low_share": 2}))
    with pytest.raises(InputError, match="it was changed after it was written"):
        read_result(path)


def test_a_result_of_3000_slides_is_small(answered, evaluation, tmp_path):
    (run,) = runs_on("telling_phantom", rows=["sos"], draws=[0])
    finished = answered(run.config)
    rng, method = np.random.default_rng(0), finished.scored.method

    def many(part, count):
        said = (rng.dirichlet([0.5] * 4, count).astype(np.float32) for _ in range(2))
        return type(part)(rng.integers(0, 4, count), *said)

    large = dataclasses.replace(
        method,
        names=tuple(f"slide_{number:05d}" for number in range(3000)),
        predicted=rng.integers(0, 4, 3000),
        sent=rng.random(3000) < 0.1,
        test=many(method.test, 3000),
        validation=many(method.validation, 150),
    )
    (tmp_path / "results").mkdir()
    path = result_path(tmp_path, run, "sos")
    write_result(path, "sos", run, finished._replace(scored=Answers(large, None, False)))
    assert path.stat().st_size < 200_000


def test_rows_that_differ_after_training_share_it():
    runs = {run.row: run for run in runs_on("slide_phantom", draws=[0])}
    for name, other in (("cascade", "multiscale"), ("cascade_apart", "deferral")):
        assert runs[name].training == runs[other].training
        assert runs[name].key != runs[other].key
    others = [run.training for name, run in runs.items() if not name.startswith("cascade")]
    assert len(set(others)) == len(others)
    (next_draw,) = runs_on("slide_phantom", rows=["cascade"], draws=[1])
    assert next_draw.training != runs["cascade"].training


def test_who_shares_a_training_works_in_one_folder(answered, tmp_path):
    folders = {}

    def job(config, folder):
        folders[config.method.name] = folder
        return answered(config)

    runs = runs_on("slide_phantom", rows=["multiscale", "cascade", "sos"], draws=[0])
    assert make_runs("sos", runs, tmp_path, job=job) == []
    assert folders["Multi-Scale"] == folders["Cascade"] != folders["SOS"]
    assert len(results_known(tmp_path)) == 3


def report_of(data, answered, tmp_path, *, changes=(), **given):
    table = load_table("sos", data)
    runs = runs_of(table, data, draws=[0, 1])
    (tmp_path / "results").mkdir(exist_ok=True)
    for run in runs:
        if run.row != "gatekeeper":
            write_result(result_path(tmp_path, run, "sos"), "sos", run, answered(run.config, **given))
    state = standing(runs, results_known(tmp_path))
    return table, table_report(table, data, state, changes=changes, bootstraps=40)


def test_the_table_says_what_its_runs_came_to(answered, tmp_path):
    table, report = report_of("slide_phantom", answered, tmp_path)
    printed = printed_answers(table, report)
    lines = printed.markdown.splitlines()
    for line in ("- data: phantom (synthetic slides, not LKS)", "- test slides: 40", "- runs: 18 of 20"):
        assert line in lines

    def cells(start):
        (line, *_) = [line for line in lines if line.startswith(f"| {start} ")]
        return [cell.strip() for cell in line.strip("|").split("|")]

    sos = report.rows["sos"]
    assert cells("SOS")[1] == f"{100 * sos.figures['area'].mean:.2f}"
    assert cells("Image-Level")[1] == "-"
    assert cells("Gatekeeper")[-1] == "0"
    assert {claim.other for claim in report.numbers.claims} == {row.name for row in table.rows} - {"sos", "gatekeeper"}
    assert set(report.promises) == {"sos", "cascade", "cascade_apart"}
    promise = report.promises["sos"][0]
    (line,) = [line for line in lines if re.match(r"\| SOS +\| +0 \|", line)]
    told = [cell.strip() for cell in line.strip("|").split("|")][2:]
    shares = [f"{promise.at_most:.1%}", f"{promise.on_test:.1%}"]
    assert told == [f"{promise.c:g}", str(promise.settled), str(promise.wrong), *shares]
    assert set(report.switches) == {"sos", "cascade", "deferral", "cascade_apart", "rdms", "rdms_budget"}
    assert report.switches["sos"].needed == 20
    assert "paper" not in printed.markdown
    assert list(report.times) == ["as downloaded", "as prepared"]
    paths = write_report(tmp_path, "sos", printed)
    assert [path.suffix for path in paths] == [".md", ".html", ".json", ".png"]
    numbers = json.loads(paths[2].read_text())
    assert [row["name"] for row in numbers["rows"]][:2] == ["image", "patch"]
    assert "Accuracy against LP" in paths[1].read_text()


def test_the_picture_begins_where_its_curves_do_and_tells_what_is_below(answered, tmp_path):
    _, report = report_of("slide_phantom", answered, tmp_path)

    def drawn(mean):
        total = report.rows["patch"].figures["TA"]._replace(mean=mean)
        patch = report.rows["patch"]._replace(figures={**report.rows["patch"].figures, "TA": total})
        rows = [patch if row.name == "patch" else row for row in report.numbers.rows]
        changed = dataclasses.replace(report, numbers=report.numbers._replace(rows=rows))
        (axes,) = draw_mean_curves(changed).axes
        (mark,) = [line for line in axes.lines if str(line.get_label()).startswith("Patch-Level")]
        return axes.get_ylim()[0], mark.get_label(), mark.get_ydata()[0]

    lowest, label, accuracy = drawn(0.9)
    assert (label, accuracy) == ("Patch-Level", 90)
    assert 0 < lowest < 90
    assert drawn(0.001) == (lowest, "Patch-Level: 0.1, below", lowest)


def test_results_of_other_data_of_the_same_name_are_refused(answered, tmp_path):
    table = load_table("sos", "slide_phantom")
    runs = runs_of(table, "slide_phantom", draws=[0], rows=["image", "sos"])
    (tmp_path / "results").mkdir()
    for run, fingerprint in zip(runs, "ab", strict=True):
        finished = answered(run.config)
        finished = finished._replace(split=finished.split | {"data_fingerprint": fingerprint})
        write_result(result_path(tmp_path, run, "sos"), "sos", run, finished)
    told = r"row sos, draw 0 is of other data \(fingerprint b\) than row image, draw 0 \(a\)"
    with pytest.raises(InputError, match=told):
        table_report(table, "slide_phantom", standing(runs, results_known(tmp_path)), bootstraps=20)


def test_seconds_in_turn_take_the_place_of_those_of_each_run(answered, tmp_path):
    table, plain = report_of("slide_phantom", answered, tmp_path)
    runs = runs_of(table, "slide_phantom", draws=[0, 1])
    folders = [tmp_path / "results", tmp_path / "others"]
    assert read_seconds("sos", runs, folders) is None

    def measured(rows, slides):
        assert {config.seed for config, _ in rows.values()} == {0}
        firsts = [run for run in timed if run.draw == 0]
        assert {folder for _, folder in rows.values()} == {tmp_path / "runs" / run.training / "run" for run in firsts}
        files = {"as prepared": 1, "in LZW tiles": 3}
        return {
            row: {
                kind: {"seconds": [0.5 * factor, None if row == "image" else 4.0 * factor], "waiting": 0.25 * factor}
                for kind, factor in files.items()
            }
            for row in rows
        }

    timed = [run for run in runs if run.row in ("image", "multiscale", "sos")]
    for run in timed:
        (tmp_path / "runs" / run.training / "run" / "checkpoints" / "4").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATA_SETS, "slide_phantom", DATA_SETS["slide_phantom"]._replace(job=SOS._replace(time=measured)))
        time_rows("sos", timed, tmp_path, 12)
        with pytest.raises(
            InputError, match=r"sos-slide_phantom\.json has seconds of row multiscale too, which is not"
        ):
            time_rows("sos", [run for run in timed if run.row != "multiscale"], tmp_path, 12)
    found = read_seconds("sos", runs, folders)
    (tmp_path / "others").mkdir()
    (tmp_path / "results" / "seconds").rename(tmp_path / "others" / "seconds")
    assert read_seconds("sos", runs, folders) == found  # those of another workdir
    assert read_seconds("sos_parts", runs, folders) is None
    assert not results_known(tmp_path / "others", [tmp_path / "others"])  # they are no results
    assert found.rows.keys() == {"image", "multiscale", "sos"}
    report = table_report(table, "slide_phantom", standing(runs, results_known(tmp_path)), seconds=found, bootstraps=20)
    times, of_tiles = report.times.values()
    assert list(report.times) == ["as prepared", "in LZW tiles"]
    low_share = plain.rows["sos"].low_share
    assert times["SOS"].per_slide == pytest.approx(0.5 + (1 - low_share) * 4)
    assert times["Multi-Scale"].per_slide == 4.5
    assert times.keys() == of_tiles.keys() == {"Image-Level", "Multi-Scale", "SOS"}
    assert of_tiles["SOS"].per_slide == pytest.approx(3 * times["SOS"].per_slide)
    assert (times["SOS"].waiting, of_tiles["SOS"].waiting) == (0.25, 0.75)
    printed = printed_answers(table, report).markdown
    assert "## Seconds a slide, slides in LZW tiles" in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("| Multi-Scale ") and " 13.50 " in line]
    assert [cell.strip() for cell in line.strip("|").split("|")][-3:] == ["1.00", "11", "75"]  # 1.5 of 13.5 seconds
    assert report.facts["seconds"].startswith("in turn on up to 12 slides, draw 0, ")
    older = found._replace(rows={"sos": {"prepared": [1.0, 2.0], "raw": None}})
    with pytest.raises(InputError, match="seconds of row sos: found prepared, raw, expected as prepared among them"):
        table_report(table, "slide_phantom", standing(runs, results_known(tmp_path)), seconds=older, bootstraps=20)
    changed = runs_of(table, "slide_phantom", draws=[0, 1], changes=["steps=7"])
    assert read_seconds("sos", changed, folders) is None  # they are of other runs
    path = tmp_path / "others" / "seconds" / "sos-slide_phantom.json"
    held = json.loads(path.read_text())
    for row in held["rows"].values():
        del row["config"]["method.budget"]
    path.write_text(json.dumps(held))
    assert read_seconds("sos", runs, folders) == found  # the field is younger than they are
    path.write_text(json.dumps(held | {"rows": []}))
    with pytest.raises(InputError, match=r"sos-slide_phantom\.json: no seconds of rows .* measure again"):
        read_seconds("sos", runs, folders)


def test_what_was_trained_elsewhere_is_not_timed(tmp_path):
    with pytest.raises(InputError, match="row image, draw 0 was trained elsewhere: there is no checkpoint in"):
        time_rows("sos", runs_on("slide_phantom", draws=[0]), tmp_path, 12)
    scans = runs_of(load_table("gain", "phantom"), "phantom", draws=[0])
    with pytest.raises(InputError, match=r"runs of experiments\.focalmix are not timed, expected a table of slides"):
        time_rows("gain", scans, tmp_path, 12)


def test_the_papers_figures_stand_beside_its_own_slides_alone(answered, tmp_path):
    def text(**given):
        table, report = report_of("lks", answered, tmp_path, **given)
        return printed_answers(table, report).markdown

    of_lks = text(is_lks=True)
    assert of_lks.count("|   paper ") == 5  # each of its methods
    assert "- data: LKS\n" in of_lks
    assert "paper" not in text(is_lks=True, changes=["steps=4"])
    elsewhere = text(is_lks=False)
    assert "paper" not in elsewhere
    assert "- data: slides in LKS's layout, not its own\n" in elsewhere


def test_runs_in_other_batches_are_not_set_beside_each_other(answered, tmp_path):
    report_of("slide_phantom", answered, tmp_path)
    runs = runs_on("slide_phantom", draws=[0, 1])
    odd = runs[0]
    write_result(result_path(tmp_path, odd, "sos"), "sos", odd, answered(odd.config, patch_batch=7))
    with pytest.raises(InputError, match="found patch_batch that differ"):
        table_report(load_table("sos", "slide_phantom"), "slide_phantom", standing(runs, results_known(tmp_path)))


def test_before_the_first_run_the_table_is_empty(tmp_path):
    table = load_table("sos_parts", "slide_phantom")
    report = table_report(table, "slide_phantom", standing(runs_of(table, "slide_phantom"), []), bootstraps=20)
    assert "- runs: 0 of 33" in SOS.printed(table, report).markdown


@pytest.mark.parametrize("data", ["lks", "slide_phantom", "telling_phantom"])
def test_parts_are_left_out_one_by_one(data):
    table = load_table("sos_parts", data)
    fields = {run.row: run.fields for run in runs_of(table, data, draws=[0])}
    changed = {
        row: {field for field in fields["sos"] if of_row[field] != fields["sos"][field]}
        for row, of_row in fields.items()
        if row not in ("sos", "image", "cascade")
    }
    assert changed["no_executive"] == {"method.hesitant_weight", "method.hurried_weight"}
    assert changed["no_link"] == {"method.join"}
    assert all(len(fields) == 1 for row, fields in changed.items() if row != "no_executive")
