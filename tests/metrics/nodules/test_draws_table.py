"""The numbers of a table: which draws stand in what, and what is claimed."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.draws_table import draws_table
from medssl_jax.metrics.nodules.matching import Outcome


def outcome(sensitivity, *, scans=50, name="scan"):
    """One nodule a scan, the first of which are found, and no false positive: the sensitivity at every rate."""
    found = round(sensitivity * scans)
    return Outcome(
        series_uids=tuple(f"{name}{number}" for number in range(scans)),
        nodules_per_scan=np.ones(scans, np.int64),
        entry_scan=np.arange(found),
        entry_is_hit=np.ones(found, bool),
        entry_score=np.full(found, 0.5),
        candidates_after_cap=found,
        ignored_on_excluded=0,
        ignored_double_detections=0,
    )


ROWS = {
    "few": {0: outcome(0.5), 1: outcome(0.52), 2: outcome(0.48)},
    "method": {0: outcome(0.64), 1: outcome(0.66)},
    "all": {0: outcome(0.8), 1: outcome(0.82), 2: outcome(0.78)},
    "absent": {},
}


def test_rows_have_their_own_draws_and_differences_those_of_both():
    table = draws_table(
        ROWS, differences=[("method", "few"), ("all", "few"), ("absent", "few")], shares=[("few", "method", "all")]
    )
    assert [(row.name, row.cpm.draws) for row in table.rows] == [("few", 3), ("method", 2), ("all", 3)]
    few, method, _ = table.rows
    assert (few.scans, few.nodules) == (50, 50)
    assert few.cpm_of_draw == pytest.approx({0: 0.5, 1: 0.52, 2: 0.48})
    assert method.sensitivity == pytest.approx((0.65,) * 7)
    gain, worth = table.claims
    assert (gain.row, gain.other, gain.difference.draws, worth.difference.draws) == ("method", "few", 2, 3)
    assert gain.difference.mean == pytest.approx(0.14)
    assert gain.relative == pytest.approx(0.14 / 0.51)
    assert gain.is_shown
    assert gain.adjusted_p == pytest.approx(2 * min(gain.difference.p, worth.difference.p))
    (share,) = table.shares
    assert (share.draws, share.recovered.share) == (2, pytest.approx(0.14 / 0.3))


def test_a_difference_without_a_common_draw_is_left_out():
    rows = {"few": {0: outcome(0.5)}, "method": {1: outcome(0.6)}}
    table = draws_table(rows, differences=[("method", "few")], shares=[("few", "method", "few")], bootstraps=10)
    assert (table.claims, table.shares) == ((), ())


def test_draws_are_paired_by_their_number():
    rows = {"few": {0: outcome(0.5), 1: outcome(0.7)}, "method": {1: outcome(0.72), 0: outcome(0.52)}}
    (claim,) = draws_table(rows, differences=[("method", "few")], bootstraps=10).claims
    assert claim.difference.over_draws == pytest.approx((0.02, 0.02))


def test_rows_of_other_scans_cannot_be_set_against_each_other():
    rows = {"few": {0: outcome(0.5)}, "method": {0: outcome(0.6, name="other")}}
    with pytest.raises(InputError, match="expected the same draws on the same scans"):
        draws_table(rows, differences=[("method", "few")], bootstraps=10)
    assert len(draws_table(rows, bootstraps=10).rows) == 2
