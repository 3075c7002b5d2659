"""Tables line up, say what was scored, and quote the paper's numbers consistently."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.bootstrap import Interval
from medssl_jax.report.nodules.froc_tables import (
    PAPER_TABLE_1,
    paper_results,
    result_table,
    scored_lines,
    sensitivity_table,
)


def test_the_paper_s_cpm_is_the_mean_of_its_row():
    for sensitivity, cpm, _ in PAPER_TABLE_1.values():
        assert np.mean(sensitivity) == pytest.approx(cpm, abs=0.001)  # both are rounded to three digits


def test_the_paper_s_gains_are_the_stated_ones():
    gains = {labelled: PAPER_TABLE_1[labelled, 400].cpm - PAPER_TABLE_1[labelled, 0].cpm for labelled in (25, 50, 100)}
    assert gains == pytest.approx({25: 0.115, 50: 0.066, 100: 0.044})


def test_rows_line_up_and_only_ours_have_an_interval(froc_results):
    ours = dataclasses.replace(
        froc_results["FocalMix"],
        sensitivity=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
        cpm=0.4,
        cpm_interval_95=Interval(0.35, 0.45),
    )
    assert sensitivity_table({"ours": ours} | paper_results(25)) == (
        "FP/scan                              0.125   0.25    0.5      1      2      4      8    CPM   95 % interval\n"
        "ours                                 0.100  0.200  0.300  0.400  0.500  0.600  0.700  0.400  0.350 to 0.450\n"
        "paper: 25 labelled                   0.467  0.540  0.606  0.686  0.744  0.791  0.824  0.666               -\n"
        "paper: 25 labelled + 400 unlabelled  0.576  0.645  0.746  0.805  0.870  0.901  0.921  0.781               -"
    )


def test_rates_of_other_scores_head_the_columns(froc_results):
    ours = dataclasses.replace(
        froc_results["FocalMix"], sensitivity=(0.1, 0.2), cpm=0.15, cpm_interval_95=Interval(0.1, 0.2)
    )
    assert sensitivity_table({"ours": ours}, fps_per_scan=(1 / 64, 1.0)).splitlines() == [
        "FP/scan  0.0156      1    CPM   95 % interval",
        "ours      0.100  0.200  0.150  0.100 to 0.200",
    ]


def test_markdown_has_one_cell_a_value():
    header, rule, *body = sensitivity_table(paper_results(100), markdown=True).splitlines()
    assert rule == "|---|" + "---:|" * 9
    assert len(body) == 2
    assert {line.count("|") for line in (header, rule, *body)} == {11}


def test_the_paper_has_no_row_for_another_number_of_labels():
    assert paper_results(12) == {}


def test_our_row_and_full_table_hold_the_result(froc_results):
    result = froc_results["FocalMix"]
    line = sensitivity_table({"FocalMix": result}).splitlines()[1]
    assert line.split()[1:9] == [f"{value:.3f}" for value in (*result.sensitivity, result.cpm)]
    assert line.endswith("{:.3f} to {:.3f}".format(*result.cpm_interval_95))
    _, *body = [line.split("  ") for line in result_table(result).splitlines()]
    shown = np.array([[float(cell) for cell in line if cell.strip()[:2] in ("0.", "1.")] for line in body])
    np.testing.assert_allclose(shown[0], [*result.sensitivity, result.cpm], atol=5e-4)
    np.testing.assert_allclose(shown[1:, 7], result.cpm_interval_95, atol=5e-4)
    assert (shown[1] <= shown[2]).all()


def test_what_was_scored_is_said_in_full(froc_results):
    uids = tuple(f"scan{place}" for place in range(11))
    marks = Marks(uids, np.zeros((11, 3)), np.zeros(11))
    annotations = Findings(("scan0",) * 15, np.zeros((15, 3)), np.ones(15))
    lines = scored_lines(froc_results["FocalMix"], marks, annotations).splitlines()
    assert lines[0] == "12 scans: 12 with nodules, 1 without a mark"
    assert lines[1] == "12 nodules: 12 found, 0 missed"
    assert lines[2].startswith("11 marks, 120 of them within 100 a scan: 96 false positives")
    assert lines[3] == "3 annotated nodules of series outside the list left out"


def test_a_submission_without_a_mark_is_warned_of(froc_results):
    none = Marks((), np.zeros((0, 3)), np.zeros(0))
    assert "\nwarning: the submission holds no mark on any scan" in scored_lines(
        froc_results["FocalMix"], none, Findings.none()
    )
    one = Marks(("scan0",), np.zeros((1, 3)), np.zeros(1))
    assert "warning" not in scored_lines(froc_results["FocalMix"], one, Findings.none())
