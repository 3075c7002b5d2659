"""The tables agree with each other and with results.json, over any seeds; what was not there is not claimed."""

import dataclasses
import json

import numpy as np
import pytest

from medssl_jax.metrics.bootstrap import Interval
from medssl_jax.metrics.over_draws import OverDraws
from medssl_jax.metrics.slides.method_scores import scores_of_methods
from medssl_jax.metrics.slides.sos_methods import METHODS
from medssl_jax.metrics.slides.switch_worth import Worth
from medssl_jax.metrics.slides.switching import switch_scores
from medssl_jax.report.slides.sos_summary import switch_line, worth_line, write_summary

CLASSES = ("Neg", "AMA", "SMA-V", "SMA-T")
RULES = dict(
    zip(METHODS, ("low", "high", "high", "policy", "confidence", "confidence", "confidence", "deferral"), strict=True)
)
NEEDS_HIGH = np.arange(40) < 10


@pytest.fixture(scope="module")
def runs(evaluation):
    """Two seeds whose LP differ much."""

    def method(name, rule):
        return [evaluation(name, rule=rule, seed=seed, c=c) for seed, c in ((4, 0.5), (7, 0.97))]

    return {name: method(name, rule) for name, rule in RULES.items()}


def lines_of(text, start):
    """The cells of the lines of the table below the heading that starts so, by method and column."""
    _, table, *_ = text[text.index(start) :].split("\n\n")
    header, rule, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert set(rule[-1]) <= set("-:")
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("summary")
    text = write_summary(folder, runs, CLASSES, is_lks=False, needs_high=NEEDS_HIGH, markdown=True)
    return folder, text, json.loads((folder / "results.json").read_text())


def test_table_3_and_the_times_agree_over_seeds(written, runs):
    _, text, results = written
    table_3, timed = lines_of(text, "## Methods"), lines_of(text, "## Seconds a slide, slides as downloaded")
    assert list(table_3) == list(timed) == list(METHODS)
    for name, evaluations in runs.items():
        assert [table_3[name][column] for column in ("IT s", "SB", "LP")] == [
            timed[name][column] for column in ("IT s", "SB", "LP")
        ]
        each = [run.raw_seconds.per_slide(run.low_share) for run in evaluations]
        assert float(timed[name]["IT s"]) == pytest.approx(np.mean(each), abs=0.006)
    shares = [run.low_share for run in runs["SOS"]]
    assert shares[0] - shares[1] > 0.3  # else products of means are means of products
    by_name = {method["method"]: method for method in results["methods"]}
    assert f"{by_name['SOS']['speed_boost']:.2f}" == timed["SOS"]["SB"]


def test_which_slides_were_timed_is_said(written, evaluation, tmp_path):
    _, text, results = written
    assert "(SB) on slides as downloaded, " in text
    assert "TIFF" not in text
    assert results["timed_on"] == "raw"
    gone = {"SOS": [evaluation("SOS", raw_seconds=None)]}
    prepared = write_summary(tmp_path, gone, CLASSES, is_lks=True)
    assert "(SB) on slides as prepared, " in prepared
    assert "as downloaded" not in prepared
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["timed_on"] == "prepared"
    assert results["seeds"][0]["methods"]["SOS"]["seconds"]["raw"] is None


def test_results_hold_each_seed(written, runs):
    _, _, results = written
    assert [each["seed"] for each in results["seeds"]] == [4, 7]
    for place, of_seed in enumerate(results["seeds"]):
        for name, evaluations in runs.items():
            run, held = evaluations[place], of_seed["methods"][name]
            for kind, seconds in (("raw", run.raw_seconds), ("prepared", run.prepared_seconds)):
                assert held["seconds"][kind]["low_part"] == seconds.low
                assert held["seconds"][kind]["high_part"] == (None if name == "Image-Level" else seconds.high)
                assert held["seconds"][kind]["per_slide"] == pytest.approx(seconds.per_slide(run.low_share))
            assert held["total_accuracy"] == pytest.approx(run.right.mean())
            assert (held["switch"] is None) == (name not in ("RDMS", "SOS", "Cascade", "Gatekeeper", "Deferral"))
            assert (held["c_by_validation"] is None) == (name not in ("SOS", "Cascade", "Gatekeeper"))
        assert of_seed["methods"]["SOS"]["switch"]["sent"] == runs["SOS"][place].sent.sum()


def test_lines_name_their_seed(written):
    _, text, _ = written
    for name in ("SOS", "Cascade"):
        for seed in (4, 7):
            assert text.count(f"{name}, seed {seed}: validation would choose c = ") == 1


def test_areas_and_promises_are_told_and_kept(written):
    _, text, results = written
    assert [each["name"] for each in results["areas"]] == ["SOS", "Cascade", "Gatekeeper"]
    area = results["areas"][0]["value"]
    assert f"SOS: area under accuracy against LP {100 * area['mean']:.2f} (95 % interval " in text
    assert text.count(", over 2 trainings)") == 3
    promise = results["seeds"][0]["methods"]["SOS"]["settled_risk"]
    assert f"SOS, seed 4: at c = 0.5 the LRN settles {promise['settled']} validation slides" in text
    on_test = 100 * promise["on_test"]
    assert f"c was not chosen on these; of the test slides that it settles on {on_test:.1f} %\n" in text
    assert results["seeds"][0]["methods"]["RDMS"]["settled_risk"] is None


def test_accuracy_by_patches_is_told_where_it_was_tried(evaluation, tmp_path):
    made = evaluation("SOS", c=0.99)
    made = dataclasses.replace(made, high_by_top_k={2: made.test.low, 5: made.test.high})
    text = write_summary(tmp_path, {"SOS": [made]}, CLASSES, is_lks=False)
    few, all_of_them = 100 * (made.test.low.argmax(1) == made.test.label).mean(), 100 * made.right.mean()
    assert few != all_of_them
    assert f"SOS, seed 0: TA by the number of patches that the HRN looks at: 2: {few:.2f}, 5: {all_of_them:.2f}" in text
    kept = json.loads((tmp_path / "results.json").read_text())["seeds"][0]["methods"]["SOS"]["total_accuracy_by_top_k"]
    assert kept == pytest.approx({"2": few / 100, "5": all_of_them / 100})


def test_a_worth_whose_interval_holds_0_is_not_shown():
    def line(mean, low, high):
        return worth_line(Worth("SOS - Cascade", OverDraws(mean, 1, Interval(low, high), None, 0.1)), "TA")

    assert line(0.01, -0.02, 0.04) == (
        "SOS - Cascade: TA 1.00 (95 % interval -2.00 to 4.00, over slides alone): not shown"
    )
    assert line(0.03, 0.02, 0.04).endswith("over slides alone)")


def test_the_curves_are_those_of_the_seed_they_name(written, runs):
    folder, _, _ = written
    switch = json.loads((folder / "switch.json").read_text())
    assert switch["seed"] == 4
    assert list(switch["swept"]) == ["SOS", "Cascade", "Gatekeeper"]
    for kind, slides in (("curve", runs["SOS"][0].test), ("validation_curve", runs["SOS"][0].validation)):
        ends = [switch["swept"]["SOS"][kind]["accuracy"][place] for place in (0, -1)]
        assert ends == pytest.approx([(each.argmax(1) == slides.label).mean() for each in (slides.low, slides.high)])


@pytest.mark.parametrize(("c", "sent"), [(0.0, 0), (1.0, 40)])
def test_a_switch_that_sends_all_or_none_is_told_of(evaluation, tmp_path, c, sent):
    runs = {"SOS": [evaluation("SOS", c=c)], "Image-Level": [evaluation("Image-Level", rule="low")]}
    text = write_summary(tmp_path, runs, CLASSES, is_lks=False, needs_high=NEEDS_HIGH)
    assert f"SOS: {sent} of 40 slides sent to the HRN, 10 need it" in text
    assert "Image-Level: 0 of" not in text  # no switch, nothing to judge


def test_memory_is_the_most_of_all_seeds_and_said_to_be_the_compiler_s(written, runs):
    _, text, _ = written
    (sos,) = scores_of_methods({"SOS": runs["SOS"]}, len(CLASSES))
    assert sos.peak_memory_bytes == 80_000_000
    assert "with inference.slide_batch = 4 and inference.patch_batch = 16." in text


def test_lines_in_words():
    sent, needs = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert switch_line("SOS", switch_scores(sent, needs), 4) == (
        "SOS: 2 of 4 slides sent to the HRN, 1 need it, 1 are both: precision 0.50 (at random 0.25), recall 1.00"
    )
