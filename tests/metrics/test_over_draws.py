"""Scores over draws: hand-made cases, SciPy's t-test, the coverage of both intervals in simulated tables."""

import numpy as np
import pytest
import scipy.stats

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.bootstrap import Interval, draw_counts, interval_95
from medssl_jax.metrics.nodules.draws_table import draw_scores
from medssl_jax.metrics.nodules.froc import score
from medssl_jax.metrics.nodules.matching import joined, match
from medssl_jax.metrics.over_draws import (
    DrawScores,
    OverDraws,
    holm,
    in_common,
    judged,
    over_draws,
    recovered_share,
)

SCANS = tuple(f"scan{number}" for number in range(12))


def case(seed, *, skill=1.5, scans=SCANS):
    """Marks on and off the one nodule of every scan, the better told apart the greater the skill."""
    rng = np.random.default_rng(seed)
    nodules = Findings(scans, np.zeros((len(scans), 3)), np.full(len(scans), 8.0))
    centres = np.tile([[0.0, 0, 0], [50, 0, 0], [0, 50, 0]], (len(scans), 1))
    logits = rng.normal(size=3 * len(scans)) + skill * (centres.sum(axis=1) == 0)
    marks = Marks(tuple(np.repeat(scans, 3)), centres, 1 / (1 + np.exp(-logits)))
    return marks, nodules


def outcome(seed, **options):
    marks, nodules = case(seed, **options)
    return match(marks, nodules, Findings.none(), options.get("scans", SCANS))


def constant(*values):
    """Scores that are the same whatever scans are drawn."""
    return DrawScores(np.array(values), np.tile(values, (200, 1)).astype(float), SCANS)


def test_draws_that_only_one_has_are_left_out_and_the_others_are_paired_by_number():
    one, other = constant(0.1, 0.2, 0.3), constant(0.6, 0.5, 0.4)
    first, second = in_common([one, other], [[7, 1, 4], [4, 9, 7]])
    assert (first.of_draw.tolist(), second.of_draw.tolist()) == ([0.1, 0.3], [0.4, 0.6])
    assert (first.resampled[0].tolist(), second.resampled[0].tolist()) == ([0.1, 0.3], [0.4, 0.6])
    assert in_common([one, other], [[0, 1, 2], [3, 4, 5]]) is None


def test_scores_are_the_cpm_of_each_draw_and_its_bootstrap():
    found = draw_scores([outcome(0), outcome(1)], bootstraps=100)
    for draw in (0, 1):
        marks, nodules = case(draw)
        alone = score(marks, nodules, None, SCANS, bootstraps=100)
        assert found.of_draw[draw] == pytest.approx(alone.cpm)
        assert interval_95(found.resampled[:, draw]) == pytest.approx(alone.cpm_interval_95)


def test_a_score_is_over_the_rates_that_are_asked_for():
    at_one = draw_scores([outcome(0)], fps_per_scan=(1.0,), bootstraps=5)
    marks, nodules = case(0)
    assert at_one.of_draw[0] == pytest.approx(score(marks, nodules, None, SCANS, bootstraps=1).sensitivity[3])


def test_a_single_draw_has_the_interval_of_the_scans_alone():
    marks, nodules = case(3)
    found = over_draws(draw_scores([outcome(3)], bootstraps=100))
    assert found.crossed == pytest.approx(score(marks, nodules, None, SCANS, bootstraps=100).cpm_interval_95)
    assert found.over_draws is None


def test_rows_are_compared_within_the_same_resamples():
    one, other = [outcome(0), outcome(1)], [outcome(2), outcome(3)]
    nothing = draw_scores(one, bootstraps=50).minus(draw_scores(one, bootstraps=50))
    assert over_draws(nothing) == OverDraws(0, 2, Interval(0, 0), Interval(0, 0), 1)
    found = draw_scores(one, bootstraps=50).minus(draw_scores(other, bootstraps=50))
    counts = draw_counts(np.ones(12, int), 50, 0)
    listed = [np.repeat(np.arange(12), times) for times in counts]
    for draw, (a, b) in enumerate(zip(one, other, strict=True)):
        for resample in (0, 49):
            expected = cpm_of(a, listed[resample]) - cpm_of(b, listed[resample])
            assert found.resampled[resample, draw] == pytest.approx(expected)


def cpm_of(outcome, scans):
    """The CPM of scans drawn with replacement, by counting above each threshold; ties do not occur in it."""
    entries = [
        (p, hit)
        for scan in scans
        for p, hit, own in zip(outcome.entry_score, outcome.entry_is_hit, outcome.entry_scan, strict=True)
        if own == scan
    ]
    points = [(0, 0)]
    for threshold in sorted({p for p, _ in entries}, reverse=True):
        above = [hit for p, hit in entries if p >= threshold]
        points.append((len(above) - sum(above), sum(above)))
    false, hits = zip(*points, strict=True)
    return np.mean(np.interp(np.array([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]) * 12, false, hits)) / 12


def test_the_interval_over_draws_is_students():
    values = [0.02, 0.05, -0.01, 0.04]
    found = over_draws(constant(*values))
    expected = scipy.stats.ttest_1samp(values, 0)
    assert found.over_draws == pytest.approx(expected.confidence_interval(0.95))
    assert found.p == pytest.approx(expected.pvalue)  # the larger of the two
    assert found.mean == pytest.approx(0.025)
    assert found.holds_0


def test_draws_resampled_alone_have_the_variance_of_their_mean():
    """With scans that change nothing, the crossed interval is that of a mean of independent draws."""
    values = np.random.default_rng(0).normal(size=5)
    scores = DrawScores(values, np.tile(values, (20_000, 1)), SCANS)
    low, high = over_draws(scores).crossed
    error = values.std(ddof=1) / np.sqrt(5)
    assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.05)


def simulated(rng, *, draws, scans=60, of_draw=0.04, of_scan=0.3, noise=0.1, resamples=400):
    """Scores of a row whose true mean is 0: effects of draws, of scans, and of both together."""
    scan = rng.normal(0, of_scan, scans)
    each = rng.normal(0, of_draw, draws)[:, None] + scan + rng.normal(0, noise, (draws, scans))
    counts = rng.multinomial(scans, np.full(scans, 1 / scans), resamples)
    return DrawScores(each.mean(axis=1), counts @ each.T / scans, tuple(map(str, range(scans))))


def test_the_crossed_interval_covers_and_those_over_one_sample_do_not():
    rng = np.random.default_rng(0)
    crossed = scans = draws = 0
    for _ in range(300):
        found = simulated(rng, draws=8)
        estimate = over_draws(found)
        crossed += estimate.crossed.low <= 0 <= estimate.crossed.high
        low, high = interval_95(found.resampled.mean(axis=1))
        scans += low <= 0 <= high
        draws += estimate.over_draws.low <= 0 <= estimate.over_draws.high
    assert 0.91 < crossed / 300 < 0.99
    assert scans / 300 < crossed / 300
    assert draws / 300 < 0.6  # scans are shared by all draws, so these do not tell what other scans would give


def shown(estimates):
    return tuple(each.is_shown for each in judged(estimates))


def test_few_claims_are_shown_where_there_is_nothing():
    """Of five claims of a table, all of them wrong, one is shown in 5 % of tables at most."""
    rng = np.random.default_rng(1)
    tables = [
        shown([over_draws(simulated(rng, draws=5, of_scan=0.05, resamples=200)) for _ in range(5)]) for _ in range(150)
    ]
    assert sum(map(any, tables)) <= 15  # 7.5 expected; two standard errors
    real = [over_draws(constant(0.05, 0.06, 0.055, 0.045, 0.052)), *(over_draws(constant(0.05, -0.05)),) * 4]
    assert shown(real) == (True, False, False, False, False)


@pytest.mark.parametrize(("crossed", "draws"), [((-0.01, 0.1), (0.01, 0.1)), ((0.01, 0.1), (-0.01, 0.1))])
def test_neither_interval_may_hold_0(crossed, draws):
    estimate = OverDraws(0.05, 3, Interval(*crossed), Interval(*draws), 0.001)
    assert estimate.holds_0
    assert shown([estimate]) == (False,)
    assert shown([estimate._replace(crossed=Interval(0.01, 0.1), over_draws=Interval(0.01, 0.1))]) == (True,)


def test_holms_adjustment_by_hand():
    # In rising order .005, .01, .03, .04 times 4, 3, 2, 1, none below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.7]) == (1, 1)
    assert holm([]) == ()


def test_the_share_recovered_is_of_what_labels_give():
    few, method, everything = constant(0.6, 0.7), constant(0.65, 0.75), constant(0.7, 0.8)
    found = recovered_share(few, method, everything)
    assert found.share == pytest.approx(0.5)
    assert found.interval == pytest.approx((0.5, 0.5))
    # Here labels themselves help in one draw and harm in the other.
    unbounded = recovered_share(few, method, constant(0.9, 0.6))
    assert unbounded.share == pytest.approx(0.5)
    assert unbounded.interval is None


def test_folds_joined_are_the_whole_list_matched_at_once():
    marks, nodules = case(5)
    whole = match(marks, nodules, Findings.none(), SCANS)
    parts = []
    for scans in (SCANS[:5], SCANS[5:]):
        own = [place for place, uid in enumerate(marks.series_uid) if uid in scans]
        of_part = Marks(tuple(marks.series_uid[place] for place in own), marks.centre_xyz_mm[own], marks.score[own])
        parts.append(match(of_part, nodules, Findings.none(), scans))
    found = joined(parts)
    assert vars(found).keys() == vars(whole).keys()
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="expected the same scans in the same order with the same nodules"):
        draw_scores([outcome(0), outcome(0, scans=SCANS[:5])])
    with pytest.raises(InputError, match="found 2 draws on 12 scans and 3 draws on 12 scans, expected the same draws"):
        constant(0.1, 0.2).minus(constant(0.1, 0.2, 0.3))
    with pytest.raises(InputError, match="scan0 is in two of them"):
        joined([outcome(0), outcome(1)])


def test_one_draw_alone_shows_nothing():
    """However far its interval over scans is from 0."""
    alone = OverDraws(0.1, 1, Interval(0.08, 0.12), None, 0.001)
    assert not alone.holds_0
    assert shown([alone, alone._replace(draws=2, over_draws=Interval(0.08, 0.12))]) == (False, True)
