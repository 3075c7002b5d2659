"""The tables quote the paper as it stands, and hold what was measured."""

import json

import numpy as np
import pytest

from medssl_jax.metrics.classification import Estimate, accuracy_of_counts, class_scores
from medssl_jax.metrics.sos_methods import METHODS
from medssl_jax.metrics.switching import MeanSeconds, switch_scores
from medssl_jax.report.slides.sos_paper import PAPER, PAPER_SLIDES
from medssl_jax.report.slides.sos_tables import (
    MethodResult,
    MethodTiming,
    both_tables,
    difference_line,
    memory_note,
    paper_table_3,
    paper_table_4,
    results_as_json,
    switch_line,
    table_3,
    table_4,
    timing_table,
)

CLASSES = tuple(PAPER_SLIDES)
LABEL = np.repeat(np.arange(4), (10, 5, 4, 1))


def method(name, wrong, runs=1, **parts):
    """The first `wrong` slides of each run are given the next class."""
    predicted = np.where(np.arange(len(LABEL)) < wrong, (LABEL + 1) % 4, LABEL)
    return MethodResult(name, LABEL, np.tile(predicted, (runs, 1)), **parts)


RESULTS = (
    method("Image-Level", 6, parameters=10_000_000, seconds_per_slide=0.1),
    method("Multi-Scale", 3, parameters=22_000_000, seconds_per_slide=2.0),
    method(
        *("SOS", 1),
        **dict(parameters=22_000_000, seconds_per_slide=0.5, low_share=0.8, peak_memory_bytes=1_250_000_000),
        low_predicted=method("", 2).predicted,
    ),
)


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
    sos = columns(table_3(RESULTS, beside_paper=False, markdown=True), "SOS")
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
    image = columns(table_3(RESULTS, beside_paper=False, markdown=True), "Image-Level")
    assert (image["RS"], image["SB"], image["LP"], image["LRN's TA %"]) == ("1.00", "20.00", "-", "-")


def test_without_the_method_it_is_relative_to_a_cell_is_empty():
    sos = columns(table_3(RESULTS[2:], beside_paper=False, markdown=True), "SOS")
    assert (sos["RS"], sos["SB"]) == ("-", "-")


def test_the_paper_stands_under_each_method_that_it_has():
    lines = table_3([*RESULTS, method("Cascade", 2)], beside_paper=True).splitlines()
    assert [line.split("  ")[0] or line.split()[0] for line in lines] == [
        "method",
        *("Image-Level", "paper", "Multi-Scale", "paper", "SOS", "paper", "Cascade"),
    ]
    assert lines[6].split()[:6] == ["paper", "90.73", "85.98", "to", "93.99", "186"]
    assert len({len(line) for line in lines}) == 1


def test_class_lines_hold_the_scores_beside_the_paper_s():
    table = [line.split() for line in table_4(RESULTS, CLASSES, beside_paper=True).splitlines()]
    assert " ".join(table[0]) == "class method F1 PR RE SP paper F1 paper PR paper RE paper SP"
    assert [line[0] for line in table[1::3]] == ["Neg", "AMA", "SMA-V", "SMA-T"]
    of_sos = class_scores(RESULTS[2].confusion(4))
    for place, name in enumerate(CLASSES):
        shown = [float(cell) for cell in table[3 + 3 * place][1:]]
        np.testing.assert_allclose(shown[:4], [score[place] for score in of_sos], atol=5e-5)
        assert tuple(shown[4:]) == PAPER["SOS"].class_scores[name]


def test_the_paper_is_kept_apart_from_other_data():
    options = {"timed_on": "as prepared", "memory_note": memory_note(4, 16)}
    ours = both_tables(RESULTS, CLASSES, is_lks=True, **options)
    assert "which the data above is not" not in ours
    phantom = both_tables(RESULTS, CLASSES, is_lks=False, **options)
    above, below = phantom.split("The paper's results on LKS (205 test slides), which the data above is not\n\n")
    assert "paper" not in above
    assert below == f"{paper_table_3()}\n\n{paper_table_4()}"
    markdown = both_tables(RESULTS, CLASSES, is_lks=False, markdown=True, **options)
    assert markdown.count("## ") == 3
    tables = [part for part in markdown.split("\n\n") if part.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_table_3_says_what_was_timed_and_what_memory_is():
    text = both_tables(RESULTS, CLASSES, is_lks=True, timed_on="as downloaded", memory_note=memory_note(4, 16))
    heading, _, note, *_ = text.split("\n\n")
    assert "seconds a slide (IT) and speed against Multi-Scale (SB) on slides as downloaded," in heading
    assert "largest compiled program" in note
    assert "slide_batch = 4 and inference.patch_batch = 16" in note


def test_the_paper_s_methods_go_by_our_names():
    assert list(PAPER) == [name for name in METHODS if name != "Cascade"]


def test_a_class_that_is_not_there_has_no_recall():
    line = table_4([MethodResult("SOS", np.zeros(3, int), np.zeros((1, 3), int))], CLASSES, beside_paper=False)
    assert line.splitlines()[4].split() == ["SMA-T", "(0)", "SOS", "-", "0.0000", "-", "1.0000"]


def test_runs_are_averaged_and_their_confusions_summed():
    both = MethodResult("SOS", LABEL, np.concatenate([method("", 0).predicted, method("", 3).predicted]))
    assert both.accuracy.value == pytest.approx(18.5 / 20)
    assert both.confusion(4).sum() == 40
    assert columns(table_3([both], beside_paper=False, markdown=True), "SOS")["right"] == "18.5"


def test_json_holds_the_numbers_and_no_nan():
    absent = MethodResult("SOS", np.zeros(3, int), np.zeros((1, 3), int))
    written = json.loads(json.dumps(results_as_json([*RESULTS, absent], CLASSES), allow_nan=False))
    image, _, sos, none = written["methods"]
    assert (sos["relative_size"], sos["speed_boost"], sos["low_share"]) == (2.2, 4, 0.8)
    assert sos["total_accuracy"]["value"] == 0.95
    assert sos["low_network_accuracy"]["value"] == 0.9
    assert image["low_network_accuracy"] is None
    assert none["class_scores"]["recall"] == [1, None, None, None]
    assert np.array(sos["confusion"]).sum() == 20


def test_time_in_its_parts():
    nobody_sent = MethodTiming("Image-Level", MeanSeconds(0.25, float("nan")), 1.0)
    lines = timing_table([nobody_sent, MethodTiming("Multi-Scale", MeanSeconds(0.5, 19.5), 0.0)]).splitlines()
    assert lines[1].split() == ["Image-Level", "0.250", "-", "1.00", "0.250", "80.00"]
    assert lines[2].split() == ["Multi-Scale", "0.500", "19.50", "0.00", "20.00", "1.00"]


def test_lines_in_words():
    line = difference_line("SOS", "Multi-Scale", Estimate(0.05366, -0.01, 0.0976))
    assert line == "SOS - Multi-Scale: TA +5.37 points (95 % interval -1.00 to +9.76)"
    sent, needs = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert switch_line("SOS", switch_scores(sent, needs), 4) == (
        "SOS: 2 of 4 slides sent to the HRN, 1 need it, 1 are both: precision 0.50 (at random 0.25), recall 1.00"
    )
