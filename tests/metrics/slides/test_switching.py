"""The switch slide by slide, its curve beside a loop, and SB, LP and IT beside each other and the paper."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.losses.confidence import switches
from medssl_jax.metrics.slides.switching import (
    MeanSeconds,
    low_share,
    mean_over_runs,
    mean_seconds,
    speed_boost,
    switch_curve,
    switch_scores,
    switched_classes,
)
from medssl_jax.report.slides.sos_paper import PAPER, PAPER_SLIDES


def random_case(seed, slides=60, sixteenths=True):
    """Probabilities of both networks; in sixteenths, confidences tie and meet c exactly."""
    rng = np.random.default_rng(seed)

    def draw():
        counts = rng.multinomial(16, rng.dirichlet(np.ones(4)), slides) if sixteenths else rng.random((slides, 4))
        return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)

    return draw(), draw(), rng.integers(0, 4, slides)


@pytest.mark.parametrize("c", [0.6, 0.7, 0.9])
def test_a_confidence_of_exactly_c_switches(c):
    at_c = np.array([[1 - c, c], [c, 1 - c]], np.float32)
    assert switches(at_c, c).all()
    assert not switches(np.nextafter(at_c, np.float32(1)), c).any()
    # 0.6 in single precision is more than 0.6: the curve must not compare in double.
    curve = switch_curve(at_c, at_c, np.array([0, 1]), MeanSeconds(1.0, 1.0))
    assert curve.low_share[curve.index_at(c)] == 0


def test_the_network_that_decides_gives_the_class():
    low = np.array([[0.95, 0.05], [0.6, 0.4], [0.1, 0.9]], np.float32)
    high = np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]], np.float32)
    assert switched_classes(low, high, switches(low, 0.9)).tolist() == [0, 1, 0]
    assert switched_classes(low, high, switches(low, 0.5)).tolist() == [0, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_curve_equals_switching_slide_by_slide_at_any_c(seed):
    low, high, label = random_case(seed)
    curve = switch_curve(low, high, label, MeanSeconds(0.5, 7.0))
    for c in [*np.linspace(0.26, 1, 40).tolist(), *np.unique(low.max(axis=1)).tolist()]:
        right = sent = 0
        for own, other, truth in zip(low, high, label, strict=True):
            goes = own.max() <= np.float32(c)
            right += (other if goes else own).argmax() == truth
            sent += goes
        point = curve.index_at(c)
        assert curve.accuracy[point] == pytest.approx(right / len(label))
        assert curve.low_share[point] == pytest.approx(1 - sent / len(label))
        assert curve.seconds_per_slide[point] == pytest.approx(0.5 + 7 * sent / len(label))


def test_curve_runs_from_the_lrn_alone_to_the_hrn_alone():
    low, high, label = random_case(7, sixteenths=False)
    curve = switch_curve(low, high, label, MeanSeconds(1.0, 9.0))
    assert len(curve.c) == len(label) + 1
    assert curve.accuracy[[0, -1]] == pytest.approx([(low.argmax(1) == label).mean(), (high.argmax(1) == label).mean()])
    assert curve.low_share[[0, -1]].tolist() == [1, 0]
    assert curve.seconds_per_slide[[0, -1]].tolist() == [1, 10]
    assert (np.diff(curve.c) > 0).all()
    assert (np.diff(curve.low_share) < 0).all()
    assert ((curve.accuracy_lower <= curve.accuracy) & (curve.accuracy <= curve.accuracy_upper)).all()


def test_where_nobody_was_sent_the_hrn_s_time_is_unknown_and_free():
    seconds = mean_seconds(np.array([1.0, 3.0]), np.zeros(2), np.zeros(2, bool))
    assert np.isnan(seconds.high)
    assert seconds.per_slide(1.0) == 2
    assert np.isnan(seconds.per_slide(0.5))


@pytest.mark.parametrize("share_sent", [0.0, 0.1, 0.5, 1.0])
def test_it_from_its_parts_is_the_mean_of_what_was_measured(share_sent):
    rng = np.random.default_rng(0)
    sent = np.arange(40) < 40 * share_sent
    low_seconds, high_seconds = rng.uniform(1, 2, 40), rng.uniform(10, 30, 40) * sent
    seconds = mean_seconds(low_seconds, high_seconds, sent)
    assert low_share(sent) == pytest.approx(1 - share_sent)
    assert seconds.per_slide(low_share(sent)) == pytest.approx((low_seconds + high_seconds).mean())


def test_the_paper_s_sb_it_and_lp_agree():
    seconds = {name: row.seconds_per_slide for name, row in PAPER.items()}
    for name, row in PAPER.items():
        assert speed_boost(seconds[name], seconds["Multi-Scale"]) == pytest.approx(row.speed_boost, abs=0.005)
    parts = MeanSeconds(seconds["Image-Level"], seconds["Multi-Scale"] - seconds["Image-Level"])
    for name in ("RDMS", "SOS"):
        assert parts.per_slide(PAPER[name].low_share) == pytest.approx(seconds[name], rel=0.05)
    sent = (1 - PAPER["SOS"].low_share) * sum(PAPER_SLIDES.values())
    assert round(sent) in (12, 13)


def test_the_best_point_is_that_of_the_largest_lp_among_equals():
    low = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], np.float32)
    high = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]], np.float32)
    curve = switch_curve(low, high, np.array([0, 0, 0, 1]), MeanSeconds(1.0, 1.0))
    # Sending the last slide is enough to have all right, sending more changes nothing.
    assert curve.accuracy.tolist() == [0.75, 1, 1, 1, 1]
    assert curve.c[curve.index_of_best()] == np.float32(0.6)


def test_seconds_over_runs_make_the_mean_it():
    parts, shares = [MeanSeconds(1.0, 10.0), MeanSeconds(3.0, 30.0), MeanSeconds(2.0, float("nan"))], [0.9, 0.5, 1.0]
    over_runs = mean_over_runs(parts, shares)
    assert over_runs.low == 2
    assert over_runs.high == pytest.approx((0.1 * 10 + 0.5 * 30) / 0.6)
    each = [part.per_slide(share) for part, share in zip(parts, shares, strict=True)]
    assert over_runs.per_slide(np.mean(shares).item()) == pytest.approx(np.mean(each))
    assert np.isnan(mean_over_runs(parts[2:], shares[2:]).high)


def test_scores_of_a_switch():
    sent, needs = np.array([1, 1, 1, 0, 0, 0, 0, 0], bool), np.array([1, 1, 0, 1, 1, 0, 0, 0], bool)
    assert switch_scores(sent, needs) == (3, 4, 2, pytest.approx(2 / 3), 0.5, 0.5)
    nothing = switch_scores(np.zeros(3, bool), np.zeros(3, bool))
    assert nothing[:3] == (0, 0, 0)
    assert np.isnan(nothing.precision)
    assert np.isnan(nothing.recall)


def test_what_cannot_be_swept_is_refused():
    low, high, label = random_case(0)
    with pytest.raises(InputError, match="found no slide"):
        switch_curve(low[:0], high[:0], label[:0], MeanSeconds(1.0, 1.0))
    with pytest.raises(InputError, match="not finite"):
        switch_curve(low, np.full_like(high, np.nan), label, MeanSeconds(1.0, 1.0))
