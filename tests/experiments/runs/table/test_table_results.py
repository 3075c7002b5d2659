"""A result's file holds all that a score goes by, is small, and tells when it was changed."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.runs.focalmix.focalmix_table import Detections
from experiments.runs.table.table_results import read_result, read_results, result_path, write_result
from experiments.runs.table.tables import load_table, runs_of
from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.draws_table import draw_scores


@pytest.fixture
def run():
    return runs_of(load_table("gain", "phantom"), "phantom", rows=["focalmix_10"], draws=[1])[0]


@pytest.fixture
def path(run, tmp_path):
    (tmp_path / "results").mkdir()
    return result_path(tmp_path, run, "gain")


def test_what_was_written_is_read(run, path, finished):
    then = finished(run.config)
    write_result(path, "gain", run, then)
    result = read_result(path)
    assert (result.table, result.data, result.row, result.draw) == ("gain", "phantom", "focalmix_10", 1)
    assert result.answers_for(run)
    for name, value in vars(then.scored.outcome).items():
        np.testing.assert_array_equal(getattr(result.finished.scored.outcome, name), value, err_msg=name)
    assert result.finished.scored.fps_per_scan == then.scored.fps_per_scan
    assert (result.finished.seconds, result.finished.split) == (36.0, then.split)
    content = json.loads(path.read_text())
    assert content["cpm"] == pytest.approx(draw_scores([then.scored.outcome]).of_draw[0])
    assert (result.commits, result.machine) == (("012345678",), "1 x a processor, 2 threads")


def test_a_result_answers_for_its_run_alone(run, path, finished):
    write_result(path, "gain", run, finished(run.config))
    result = read_result(path)
    table = load_table("gain", "phantom")
    assert [each.draw for each in runs_of(table, "phantom", draws=[0, 1]) if result.answers_for(each)] == [1]
    assert not dataclasses.replace(result, data="luna16").answers_for(run)


def test_marks_beyond_every_rate_are_left_out_and_change_no_resample(run, path, finished):
    rng = np.random.default_rng(1)
    scans, marks = 60, 6000
    then = finished(run.config, scans=tuple(map(str, range(scans))))
    outcome = dataclasses.replace(
        then.scored.outcome,
        nodules_per_scan=np.full(scans, 2),
        entry_scan=rng.integers(0, scans, marks),
        entry_is_hit=np.isin(np.arange(marks), rng.choice(marks, 100, replace=False)),
        entry_score=-np.sort(-rng.random(marks).astype(np.float32)).astype(float),
    )
    rates = (0.25, 1.0, 4.0)
    write_result(path, "gain", run, then._replace(scored=Detections(outcome, rates, is_luna16=False)))
    kept = read_result(path).finished.scored.outcome
    assert (~kept.entry_is_hit).sum() == 3 * 4 * scans
    assert kept.candidates_after_cap == outcome.candidates_after_cap
    whole, part = (draw_scores([each], fps_per_scan=rates, bootstraps=2000) for each in (outcome, kept))
    np.testing.assert_array_equal(part.of_draw, whole.of_draw)
    np.testing.assert_array_equal(part.resampled, whole.resampled)


def test_a_thousand_scans_with_all_their_marks_take_less_than_a_megabyte(run, path, finished):
    then = finished(run.config, scans=[f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{number:030d}" for number in range(888)])
    rng = np.random.default_rng(0)
    marks = 50_000
    outcome = dataclasses.replace(
        then.scored.outcome,
        entry_scan=rng.integers(0, 888, marks),
        entry_is_hit=rng.random(marks) < 0.02,
        entry_score=-np.sort(-rng.random(marks).astype(np.float32)).astype(float),
    )
    then = then._replace(scored=then.scored._replace(outcome=outcome))
    write_result(path, "gain", run, then)
    assert path.stat().st_size < 250_000
    write_result(path, "gain", run, finished(run.config))
    assert path.stat().st_size < 8_000


def test_no_folder_of_the_machine_is_told(run, path, finished):
    run.config.data.manual_dir = "/home/somebody/data"
    write_result(path, "gain", run, finished(run.config))
    assert "/home/" not in path.read_text()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace('"cpm": 0.', '"cpm": 1.'), "it was changed after it was written"),
        (lambda text: text[:200], "not the result of a run of a table"),
        (lambda text: "[]", "not the result of a run of a table"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2, expected 1"),
    ],
)
def test_a_changed_file_is_refused(run, path, finished, change, told):
    write_result(path, "gain", run, finished(run.config))
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=told) as caught:
        read_results([path.parent])
    assert str(path) in str(caught.value)


def test_a_folder_that_is_absent_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder, expected one of results"):
        read_results([tmp_path / "nowhere"])
