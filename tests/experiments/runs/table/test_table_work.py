"""Runs are made once, by one of several workers, whoever dies; what is left and how long it takes is told."""

import subprocess
import sys
import threading
import time

import pytest

from experiments.runs.focalmix.focalmix_table import printed_detections
from experiments.runs.table.declaration import Joined, Row, Table
from experiments.runs.table.table_report import table_report, write_report
from experiments.runs.table.table_results import read_results, result_path, write_result
from experiments.runs.table.table_work import make_runs, results_known, standing
from experiments.runs.table.tables import load_table, runs_of
from medssl_jax.core.errors import InputError
from medssl_jax.report.nodules.draws_report import report_json, report_markdown, report_page

HOLD_A_LOCK = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def table():
    return load_table("gain", "phantom")


@pytest.fixture
def runs(table):
    return runs_of(table, "phantom", rows=["supervised_10", "focalmix_10", "all"], draws=[0, 1])


def test_each_run_is_made_once_and_never_again(runs, tmp_path, finished):
    made = []

    def job(config, folder):
        made.append(folder)
        return finished(config)

    assert make_runs("gain", runs, tmp_path, job=job) == []
    assert made == [tmp_path / "runs" / run.key / "run" for run in runs]
    assert make_runs("gain", runs, tmp_path, job=job) == []
    assert len(made) == 6
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        result_path(tmp_path, run, "gain").name for run in runs
    }


def test_results_of_elsewhere_and_of_other_tables_count(table, runs, tmp_path, finished):
    committed = tmp_path / "docs"
    committed.mkdir()
    write_result(committed / "some name.json", "table1", runs[0], finished(runs[0].config))
    made = []

    def job(config, folder):
        made.append(config.seed)
        return finished(config)

    make_runs("gain", runs[:2], tmp_path / "work", others=[committed], job=job)
    assert made == [0]
    state = standing(runs, results_known(tmp_path / "work", [committed]))
    assert [run.row for run, _ in state.done] == ["supervised_10", "focalmix_10"]


def test_a_run_stopped_half_way_is_gone_on_with_in_its_folder(runs, tmp_path, finished):
    folders = []

    def stopped(config, folder):
        folders.append(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_runs("gain", runs[:1], tmp_path, job=stopped)
    assert results_known(tmp_path) == []

    def job(config, folder):
        folders.append(folder)
        return finished(config)

    make_runs("gain", runs[:1], tmp_path, job=job)
    assert folders[0] == folders[1]


def test_two_workers_share_a_table(runs, tmp_path, finished):
    made, together = {"a": [], "b": []}, threading.Barrier(2)

    def work(name):
        def job(config, folder):
            if not made[name]:
                together.wait(10)  # both are at a run at the same time
            made[name].append(folder)
            time.sleep(0.01)
            return finished(config)

        make_runs("gain", runs, tmp_path, job=job, seconds_between_looks=0.01)
        assert len(results_known(tmp_path)) == 6  # each waits for the last of the other

    workers = [threading.Thread(target=work, args=(name,)) for name in made]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert made["a"]
    assert made["b"]
    assert sorted(made["a"] + made["b"]) == sorted(tmp_path / "runs" / run.key / "run" for run in runs)


def test_the_run_of_a_process_that_died_is_taken_over(runs, tmp_path, finished):
    folder = tmp_path / "runs" / runs[0].key
    folder.mkdir(parents=True)
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LOCK, str(folder / ".lock")], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout.readline() == "held\n"
    made = []

    def job(config, folder):
        made.append(folder.parent)
        return finished(config)

    worker = threading.Thread(
        target=make_runs, args=("gain", runs[:2], tmp_path), kwargs={"job": job, "seconds_between_looks": 0.01}
    )
    worker.start()
    time.sleep(0.2)
    assert made == [tmp_path / "runs" / runs[1].key]  # the other one it leaves alone
    owner.kill()
    owner.wait(10)
    worker.join(10)
    assert made[1:] == [folder]
    owner.stdout.close()


def test_a_run_that_fails_does_not_keep_the_others_from_being_made(runs, tmp_path, finished, capsys):
    def job(config, folder):
        if config.seed == 0 and config.patches.unlabelled_batch:
            raise InputError("the loss is not finite")
        return finished(config)

    failed = make_runs("gain", runs, tmp_path, job=job)
    assert [(run.row, run.draw, told) for run, told in failed] == [("focalmix_10", 0, "the loss is not finite")]
    assert len(results_known(tmp_path)) == 5
    assert "focalmix_10, draw 0: failed: the loss is not finite" in capsys.readouterr().out


def test_hours_are_those_of_the_row_or_by_its_steps(runs, tmp_path, finished):
    assert standing(runs, []).hours_left is None
    folder = tmp_path / "results"
    folder.mkdir()
    for run, seconds in ((runs[0], 3600.0), (runs[1], 7200.0), (runs[4], None)):
        write_result(result_path(tmp_path, run, "gain"), "gain", run, finished(run.config, seconds=seconds))
    state = standing(runs, read_results([folder]))
    # All labels by their steps, at 5,400 seconds a run; supervised training of draw 1 as in draw 0.
    assert [(run.row, run.draw) for run in state.left] == [("all", 0), ("supervised_10", 1), ("all", 1)]
    assert state.hours_left == pytest.approx(1.5 + 1 + 1.5)


def made(table, tmp_path, finished, runs, **code):
    folder = tmp_path / "results"
    folder.mkdir(exist_ok=True)
    for run in runs:
        write_result(result_path(tmp_path, run, "gain"), "gain", run, finished(run.config, **code))


def test_the_table_says_what_it_stands_on(table, tmp_path, finished):
    runs = runs_of(table, "phantom", draws=[0, 1, 2])
    made(table, tmp_path, finished, [run for run in runs if run.row in ("supervised_10", "all")])
    made(table, tmp_path, finished, [run for run in runs if run.row == "focalmix_10"], commit="f" * 40, is_clean=False)
    report = table_report(table, "phantom", standing(runs, results_known(tmp_path)), bootstraps=50)
    text = report_markdown(report)
    for line in (
        "- data: phantom (synthetic scans, not LUNA16)",
        "- test scans: 3 with 20 nodules",
        "- runs: 9 of 33",
        "- machine: 1 x a processor, 2 threads",
        "- commit: 012345678",
        "*10 labelled, FocalMix: commits fffffffff+",
    ):
        assert line in text.splitlines()
    assert "| 10 labelled, FocalMix* - 10 labelled, supervised " in text
    assert "paper:" not in text
    assert report_page(report, figure=b"").count("<td>not shown</td>") == text.count("| not shown |") == 1
    assert report_json(report)["facts"]["runs"] == "9 of 33"
    paths = write_report(tmp_path, "gain_phantom", printed_detections(table, report))
    assert [path.name for path in paths] == [f"gain_phantom.{ending}" for ending in ("md", "html", "json", "png")]
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_the_papers_figures_stand_beside_its_own_data_alone(tmp_path, finished):
    table = load_table("table1", "luna16")
    runs = runs_of(table, "luna16", draws=[0], rows=["baseline_25", "focalmix_25"])

    def texts(is_luna16, changes=()):
        (tmp_path / "results").mkdir(exist_ok=True)
        for run in runs:
            result = finished(run.config, is_luna16=is_luna16)
            write_result(result_path(tmp_path, run, "table1"), "table1", run, result)
        state = standing(runs, results_known(tmp_path))
        return report_markdown(table_report(table, "luna16", state, changes=changes, bootstraps=20))

    ours, paper = texts(True), "| paper: 25 labelled, FocalMix "
    assert paper in ours
    assert "- data: LUNA16\n" in ours
    assert paper not in texts(True, changes=["steps=5"])
    assert texts(True, changes=["data.manual_dir=/home/somebody/LUNA16"]) == ours
    elsewhere = texts(False)
    assert paper not in elsewhere
    assert "- data: scans in LUNA16's layout, not its 888 scans\n" in elsewhere


def test_folds_are_scored_as_one_list(tmp_path, finished):
    table = Table(
        title="folds",
        rows=tuple(Row(name=name, label=name, overrides={"steps": steps}) for name, steps in (("a", 1), ("b", 2))),
        draws=(0,),
        joined=(Joined(name="both", label="both folds", rows=("a", "b")),),
    )
    runs = runs_of(table, "phantom")
    (tmp_path / "results").mkdir()
    for run in runs:
        result = finished(run.config, scans=[f"{run.row}.{number}" for number in range(4)])
        write_result(result_path(tmp_path, run, "folds"), "folds", run, result)
        state = standing(runs, results_known(tmp_path))
        rows = {row.name: row for row in table_report(table, "phantom", state, bootstraps=20).numbers.rows}
        assert ("both" in rows) == (run.row == "b")  # only once both are there
    assert (rows["both"].scans, rows["both"].nodules) == (8, 40)


def test_scores_at_other_rates_are_not_set_beside_each_other(runs, table, tmp_path, finished):
    made(table, tmp_path, finished, runs[:1])
    other = finished(runs[1].config)
    other = other._replace(scored=other.scored._replace(fps_per_scan=(1.0,)))
    write_result(result_path(tmp_path, runs[1], "gain"), "gain", runs[1], other)
    with pytest.raises(InputError, match="expected one choice in a table"):
        table_report(table, "phantom", standing(runs, results_known(tmp_path)))
