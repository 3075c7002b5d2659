"""The tables quote the paper as it stands, and hold what was measured."""

import json

import numpy as np
import pytest

from medssl_jax.metrics.slides.classification import accuracy_of_counts, class_scores
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod, Probabilities
from medssl_jax.metrics.slides.method_scores import scores_of_methods, times_of_methods
from medssl_jax.metrics.slides.sos_methods import METHODS
from medssl_jax.metrics.slides.switching import MeanSeconds
from medssl_jax.report.json_report import write_json
from medssl_jax.report.slides.sos_paper import PAPER, PAPER_SLIDES
from medssl_jax.report.slides.sos_results import evaluation_as_json
from medssl_jax.report.slides.sos_tables import (
    both_tables,
    paper_table_3,
    paper_table_4,
    table_3,
    table_4,
    timing_table,
)

CLASSES = tuple(PAPER_SLIDES)
LABEL = np.repeat(np.arange(4), (10, 5, 4, 1))


def method(name, wrong=0, *, label=LABEL, low_wrong=None, sent=0.0, seconds=(1.0, 0.0), raw=None, **changes):
    """The first `wrong` slides are given the next class, by the LRN the first `low_wrong`; `sent` is a share."""
    slides = np.arange(len(label))

    def given(wrong):
        return np.where(slides < wrong, (label + 1) % 4, label)

    low = None if low_wrong is None else np.eye(4, dtype=np.float32)[given(low_wrong)]
    return EvaluatedMethod(
        **dict(name=name, seed=0, rule="high", c=0.9, names=tuple(map(str, slides)), predicted=given(wrong)),
        **dict(sent=slides < sent * len(label), test=Probabilities(label, low, None)),
        **dict(validation=Probabilities(label[:0], None, None), prepared_seconds=MeanSeconds(*seconds)),
        **dict(raw_seconds=raw, slide_batch=4, patch_batch=16),
        **dict(parameters=22_000_000, peak_memory_bytes=1_250_000_000) | changes,
    )


RUNS = {
    "Image-Level": [method("Image-Level", 6, seconds=(0.1, float("nan")), parameters=10_000_000)],
    "Multi-Scale": [method("Multi-Scale", 3, sent=1.0, seconds=(0.0, 2.0))],
    "SOS": [method("SOS", 1, low_wrong=2, sent=0.2, seconds=(0.5, 0.0))],
}

SCORES = scores_of_methods(RUNS, 4)


def columns(table, name):
    """The cells of the line that begins with `name`, by the header."""
    header, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return dict(zip(header, next(line for line in lines if line[0] == name), strict=True))


def test_the_paper_s_accuracies_are_whole_slides_of_205():
    percent = {"Image-Level": 81.95, "Patch-Level": 69.27, "Multi-Scale": 85.37, "RDMS": 88.78, "SOS": 90.73}
    for name, row in PAPER.items():
        assert round(100 * row.right / 205, 2) == percent[name]
        assert columns(paper_table_3(markdown=True), name)["TA %"] == f"{percent[name]:.2f}"


def test_ours_holds_what_was_measured():
    sos = columns(table_3(SCORES, beside_paper=False, markdown=True), "SOS")
    low, high = (100 * end for end in accuracy_of_counts(19, 20)[1:])
    assert sos == {
        "method": "SOS",
        "TA %": "95.00",
        "95 % interval": f"{low:.2f} to {high:.2f}",
        "right": "19",
        "RS": "2.20",
        "parameters": "22.00 M",
        "peak memory": "1.25 GB",
        "IT s": "0.500",
        "SB": "4.00",
        "LP": "0.80",
        "LRN's TA %": "90.00",
    }
    image = columns(table_3(SCORES, beside_paper=False, markdown=True), "Image-Level")
    assert (image["RS"], image["SB"], image["LP"], image["LRN's TA %"]) == ("1.00", "20.00", "1.00", "-")


def test_without_the_method_it_is_relative_to_a_cell_is_empty():
    sos = columns(table_3(scores_of_methods({"SOS": RUNS["SOS"]}, 4), beside_paper=False, markdown=True), "SOS")
    assert (sos["RS"], sos["SB"]) == ("-", "-")


def test_the_paper_stands_under_each_method_that_it_has():
    lines = table_3(scores_of_methods(RUNS | {"Cascade": [method("Cascade", 2)]}, 4), beside_paper=True).splitlines()
    assert [line.split("  ")[0] or line.split()[0] for line in lines] == [
        "method",
        *("Image-Level", "paper", "Multi-Scale", "paper", "SOS", "paper", "Cascade"),
    ]
    assert lines[6].split()[:6] == ["paper", "90.73", "85.98", "to", "93.99", "186"]
    assert len({len(line) for line in lines}) == 1


def test_class_lines_hold_the_scores_beside_the_paper_s():
    table = [line.split() for line in table_4(SCORES, CLASSES, beside_paper=True).splitlines()]
    assert " ".join(table[0]) == "class method F1 PR RE SP paper F1 paper PR paper RE paper SP"
    assert [line[0] for line in table[1::3]] == ["Neg", "AMA", "SMA-V", "SMA-T"]
    of_sos = class_scores(SCORES[2].confusion)
    for place, name in enumerate(CLASSES):
        shown = [float(cell) for cell in table[3 + 3 * place][1:]]
        np.testing.assert_allclose(shown[:4], [score[place] for score in of_sos], atol=5e-5)
        assert tuple(shown[4:]) == PAPER["SOS"].class_scores[name]


def test_the_paper_is_kept_apart_from_other_data():
    ours = both_tables(RUNS, SCORES, CLASSES, is_lks=True)
    assert "which the data above is not" not in ours
    phantom = both_tables(RUNS, SCORES, CLASSES, is_lks=False)
    above, below = phantom.split("The paper's results on LKS (205 test slides), which the data above is not\n\n")
    assert "paper" not in above
    assert below == f"{paper_table_3()}\n\n{paper_table_4()}"
    markdown = both_tables(RUNS, SCORES, CLASSES, is_lks=False, markdown=True)
    assert markdown.count("## ") == 3
    tables = [part for part in markdown.split("\n\n") if part.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_table_3_says_what_was_timed_and_what_memory_is():
    runs = {"SOS": [method("SOS", raw=MeanSeconds(1.0, 1.0))]}
    text = both_tables(runs, scores_of_methods(runs, 4), CLASSES, is_lks=True)
    heading, _, note, *_ = text.split("\n\n")
    assert "seconds a slide (IT) and speed against Multi-Scale (SB) on slides as downloaded," in heading
    assert "largest compiled program" in note
    assert "slide_batch = 4 and inference.patch_batch = 16" in note


def test_the_paper_s_methods_go_by_our_names():
    assert list(PAPER) == [name for name in METHODS if name not in ("Cascade", "Gatekeeper", "Deferral")]


def test_a_class_that_is_not_there_has_no_recall():
    line = table_4(scores_of_methods({"SOS": [method("SOS", label=np.zeros(3, int))]}, 4), CLASSES, beside_paper=False)
    assert line.splitlines()[4].split() == ["SMA-T", "(0)", "SOS", "-", "0.0000", "-", "1.0000"]


def test_runs_are_averaged_and_their_confusions_summed():
    (both,) = scores_of_methods({"SOS": [method("SOS"), method("SOS", 3)]}, 4)
    assert both.total_accuracy.value == pytest.approx(18.5 / 20)
    assert both.confusion.sum() == 40
    assert columns(table_3([both], beside_paper=False, markdown=True), "SOS")["right"] == "18.5"


def test_json_holds_the_numbers_and_no_nan(tmp_path):
    runs = RUNS | {"RDMS": [method("RDMS", label=np.zeros(20, int))]}
    write_json(tmp_path / "results.json", evaluation_as_json(runs, scores_of_methods(runs, 4), CLASSES))
    written = json.loads((tmp_path / "results.json").read_text())
    image, _, sos, none = written["methods"]
    assert (sos["relative_size"], sos["speed_boost"], sos["low_share"]) == (2.2, 4, 0.8)
    assert sos["total_accuracy"]["value"] == 0.95
    assert sos["low_network_accuracy"]["value"] == 0.9
    assert image["low_network_accuracy"] is None
    assert none["class_scores"]["recall"] == [1, None, None, None]
    assert np.array(sos["confusion"]).sum() == 20


def test_time_in_its_parts():
    nobody_sent = method("Image-Level", seconds=(0.25, float("nan")))
    runs = {"Image-Level": [nobody_sent], "Multi-Scale": [method("Multi-Scale", sent=1.0, seconds=(0.5, 19.5))]}
    lines = timing_table(times_of_methods(runs, raw=False)).splitlines()
    assert "waiting" not in lines[0]
    assert lines[1].split() == ["Image-Level", "0.250", "-", "1.00", "0.250", "80.00"]
    assert lines[2].split() == ["Multi-Scale", "0.500", "19.50", "0.00", "20.00", "1.00"]


def test_speed_beside_its_ceiling_and_waiting_where_it_was_measured():
    runs = {
        "Image-Level": [method("Image-Level", seconds=(0.5, 0.0))],
        "SOS": [method("SOS", sent=0.5, seconds=(1, 2))],
    }
    times = {name: each._replace(waiting=0.6) for name, each in times_of_methods(runs, raw=False).items()}
    assert times["SOS"].of_ceiling == 0.25
    header, image, sos = timing_table(times).splitlines()
    assert "of Image-Level's speed %" in header
    assert image.split()[-2:] == ["100", "60"]
    assert sos.split()[-2:] == ["25", "60"]
    alone = times_of_methods({"SOS": runs["SOS"]}, raw=False)["SOS"]
    assert (alone.of_ceiling, alone.waiting) == (None, None)
