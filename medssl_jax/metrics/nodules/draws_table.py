"""A table of rows scored in several draws, and what is claimed of them: the numbers, before anything is printed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.bootstrap import draw_counts
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN, sensitivities
from medssl_jax.metrics.nodules.matching import Outcome
from medssl_jax.metrics.over_draws import (
    DrawScores,
    OverDraws,
    Recovered,
    in_common,
    judged,
    over_draws,
    recovered_share,
)


class RowScores(NamedTuple):
    """A row: mean sensitivities over its draws, CPM with its intervals, and the CPM of each draw."""

    name: str
    scans: int
    nodules: int
    sensitivity: tuple[float, ...]
    cpm: OverDraws
    cpm_of_draw: Mapping[int, float]


class Claim(NamedTuple):
    """That `row` differs from `other`, in the draws that both have.

    `relative` is the difference as a share of `other`'s score, `adjusted_p` the p of the difference by Holm over all
    claims of the table, with which `is_shown` is decided.
    """

    row: str
    other: str
    difference: OverDraws
    relative: float
    adjusted_p: float
    is_shown: bool


class ShareOfLabels(NamedTuple):
    """The share of the distance between `few` and all labels, `everything`, that a `method` recovers."""

    few: str
    method: str
    everything: str
    draws: int
    recovered: Recovered


class DrawsTable(NamedTuple):
    """All rows that have a draw, and the claims and shares whose rows have one in common."""

    fps_per_scan: tuple[float, ...]
    rows: tuple[RowScores, ...]
    claims: tuple[Claim, ...]
    shares: tuple[ShareOfLabels, ...]


def draws_table(
    outcomes: Mapping[str, Mapping[int, Outcome]],
    *,
    differences: Sequence[tuple[str, str]] = (),
    shares: Sequence[tuple[str, str, str]] = (),
    fps_per_scan: Sequence[float] = FPS_PER_SCAN,
    bootstraps: int = 1000,
) -> DrawsTable:
    """The table of what each row's draws came to; by our own rule draws that only one side has are in no difference.

    `differences` are pairs of a row and the one it is set against, `shares` few labels, a method beside them, and all
    labels. Raises `InputError` where rows that are set against each other have other scans or nodules.
    """
    scores = {
        name: draw_scores(list(of_draws.values()), fps_per_scan=fps_per_scan, bootstraps=bootstraps)
        for name, of_draws in outcomes.items()
        if of_draws
    }

    def together(*names: str) -> list[DrawScores] | None:
        if not all(name in scores for name in names):
            return None
        return in_common([scores[name] for name in names], [list(outcomes[name]) for name in names])

    pairs = {(row, other): found for row, other in differences if (found := together(row, other))}
    decided = judged([over_draws(of_row.minus(of_other)) for of_row, of_other in pairs.values()])
    claims = [
        Claim(*pair, estimate, estimate.mean / float(of_other.of_draw.mean() or np.nan), adjusted_p, is_shown)
        for (pair, (_, of_other)), (estimate, adjusted_p, is_shown) in zip(pairs.items(), decided, strict=True)
    ]
    found_shares = {names: found for names in shares if (found := together(*names))}
    return DrawsTable(
        tuple(fps_per_scan),
        tuple(_row(name, outcomes[name], scores[name], fps_per_scan) for name in scores),
        tuple(claims),
        tuple(
            ShareOfLabels(*names, len(each[0].of_draw), recovered_share(*each)) for names, each in found_shares.items()
        ),
    )


def draw_scores(
    outcomes: Sequence[Outcome],
    *,
    fps_per_scan: Sequence[float] = FPS_PER_SCAN,
    bootstraps: int = 1000,
    seed: int = 0,
) -> DrawScores:
    """The CPM of LUNA16, the mean sensitivity at `fps_per_scan`, of the outcome of each draw.

    Rows of one table take one `seed`, so that their resamples are the same scans. Raises `InputError` where the draws
    were not scored on the same scans and nodules.
    """
    first, *others = outcomes
    for other in others:
        if first.series_uids != other.series_uids or (first.nodules_per_scan != other.nodules_per_scan).any():
            raise InputError(
                f"results: found {len(first.series_uids)} scans with {first.nodules_per_scan.sum()} nodules and "
                f"{len(other.series_uids)} scans with {other.nodules_per_scan.sum()}, expected the same scans in the "
                "same order with the same nodules; score every run with one scan list and one annotation file"
            )
    rates = np.array(fps_per_scan)
    counts = draw_counts(first.nodules_per_scan, bootstraps, seed)
    once = np.ones((1, len(first.series_uids)), np.int64)
    of_draw = [sensitivities(outcome, once, rates).mean() for outcome in outcomes]
    resampled = [sensitivities(outcome, counts, rates).mean(axis=1) for outcome in outcomes]
    return DrawScores(np.array(of_draw), np.stack(resampled, axis=1), first.series_uids)


def _row(name: str, of_draws: Mapping[int, Outcome], scores: DrawScores, fps_per_scan: Sequence[float]) -> RowScores:
    first = next(iter(of_draws.values()))
    once = np.ones((1, len(first.series_uids)), np.int64)
    each = [sensitivities(outcome, once, np.array(fps_per_scan))[0] for outcome in of_draws.values()]
    return RowScores(
        name,
        len(first.series_uids),
        int(first.nodules_per_scan.sum()),
        tuple(np.mean(each, axis=0).tolist()),
        over_draws(scores),
        dict(zip(of_draws, scores.of_draw.tolist(), strict=True)),
    )
