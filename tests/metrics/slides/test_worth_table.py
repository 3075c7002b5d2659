"""Rows over trainings: figures by hand, differences in the draws that both have, a gain in two parts."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.slides.worth_table import AREA, AT, LOW_ACCURACY, TOTAL_ACCURACY, curve_of, once, worth_table


@pytest.fixture
def rows(evaluation):
    def of(name, rule, seeds, **changes):
        return {seed: evaluation(name, rule=rule, seed=seed, c=0.6, **changes) for seed in seeds}

    asking = np.random.default_rng(3).normal(size=40)
    return {
        "image": of("Image-Level", "low", (0, 1, 2)),
        "multiscale": of("Multi-Scale", "high", (0, 1, 2)),
        "sos": of("SOS", "confidence", (0, 1, 2)),
        "cascade": of("Cascade", "confidence", (1, 2, 3)),
        "deferral": of("Deferral", "deferral", (0, 1, 2), asking=asking),
        "later": {},
    }


def test_each_row_has_the_figures_that_its_networks_and_its_switch_allow(rows):
    table = {row.name: row for row in worth_table(rows, bootstraps=50).rows}
    assert table.keys() == rows.keys() - {"later"}
    for name, row in table.items():
        evaluations = list(rows[name].values())
        assert (
            (AREA in row.figures) == all(each in row.figures for each in AT) == (name in ("sos", "cascade", "deferral"))
        )
        assert row.figures[TOTAL_ACCURACY].mean == pytest.approx(np.mean([each.right for each in evaluations]))
        own = np.mean([each.test.low.argmax(1) == each.test.label for each in evaluations])
        assert row.figures[LOW_ACCURACY].mean == pytest.approx(own)
        assert row.low_share == pytest.approx(np.mean([each.low_share for each in evaluations]))
        assert (row.slides, row.figures[TOTAL_ACCURACY].draws) == (40, 3)
    one = rows["sos"][2]
    assert table["sos"].of_draw[AREA][2] == pytest.approx(curve_of(one, once(one)).area()[0])


def test_a_switch_moves_by_its_own_measure(rows):
    one = rows["deferral"][0]
    curve = curve_of(one, once(one))
    low, high = (said.argmax(1) == one.test.label for said in one.test.both())
    least_asking = np.argsort(one.asking)[:32]
    mixed = high.copy()
    mixed[least_asking] = low[least_asking]
    assert curve.at(0.8)[0] == pytest.approx(mixed.mean())
    confident = dataclasses.replace(one, rule="confidence", asking=None)
    assert curve_of(confident, once(one)).area()[0] != curve.area()[0]


def test_differences_are_of_the_draws_that_both_have(rows):
    claims = worth_table(
        rows, differences=[("sos", "cascade"), ("sos", "image"), ("sos", "later")], bootstraps=50
    ).claims
    figures = {(claim.other, claim.figure): claim for claim in claims}
    assert [pair for pair in figures if pair[0] == "image"] == [("image", TOTAL_ACCURACY)]  # it has no switch
    assert not [pair for pair in figures if pair[0] == "later"]
    both = figures["cascade", TOTAL_ACCURACY].difference
    assert both.draws == 2
    expected = np.mean([rows["sos"][draw].right.mean() - rows["cascade"][draw].right.mean() for draw in (1, 2)])
    assert both.mean == pytest.approx(expected)


def test_claims_are_adjusted_among_those_in_the_same_figure(rows):
    pairs = [("sos", "cascade"), ("sos", "image"), ("sos", "multiscale")]
    claims = [
        each for each in worth_table(rows, differences=pairs, bootstraps=50).claims if each.figure == TOTAL_ACCURACY
    ]
    assert len(claims) == 3
    least = min(claims, key=lambda claim: claim.difference.p)
    assert least.adjusted_p == pytest.approx(min(1.0, 3 * least.difference.p))


def test_training_and_switching_make_up_the_gain_over_the_lrn_alone(rows):
    (gain,) = worth_table(rows, gains=[("sos", "image"), ("later", "image")], bootstraps=50).gains
    whole, alone = (np.mean([each.right for each in rows[name].values()]) for name in ("sos", "image"))
    assert gain.by_training.mean + gain.by_switching.mean == pytest.approx(whole - alone)
    own = np.mean([each.test.low.argmax(1) == each.test.label for each in rows["sos"].values()])
    assert gain.by_switching.mean == pytest.approx(whole - own)


def test_rows_on_other_slides_are_not_set_against_each_other(rows):
    other = {draw: dataclasses.replace(each, names=each.names[::-1]) for draw, each in rows["cascade"].items()}
    with pytest.raises(InputError, match="expected the same draws on the same"):
        worth_table(rows | {"cascade": other}, differences=[("sos", "cascade")], bootstraps=20)
