"""What several draws of labels show: scores and paired differences with intervals over scans and over draws.

A draw is a choice of labelled scans with a training of its own; all draws are scored on the same test scans. Both are
samples, so both are resampled, independently of each other (a crossed or product bootstrap: Owen and Eckles, Annals of
Applied Statistics 6, 2012, arXiv 1106.2125). Rows of a table are compared within the same resamples of both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.bootstrap import Interval, interval_95

ERROR_RATE = 0.05  # of all claims of a table together


@dataclass(frozen=True)
class DrawScores:
    """A row's score in each draw, on all cases (scans or slides) and on each resample; a difference of rows alike."""

    of_draw: Float[np.ndarray, " draws"]
    resampled: Float[np.ndarray, "bootstraps draws"]
    cases: tuple[str, ...]

    def taken(self, places: Sequence[int]) -> "DrawScores":
        """Those of some draws, by their places."""
        return DrawScores(self.of_draw[list(places)], self.resampled[:, list(places)], self.cases)

    def minus(self, other: "DrawScores") -> "DrawScores":
        """The difference to another row, paired by draw and by scan. Raises `InputError` unless both have the same."""
        if self.cases != other.cases or self.resampled.shape != other.resampled.shape:
            raise InputError(
                f"difference: found {len(self.of_draw)} draws on {len(self.cases)} scans and "
                f"{len(other.of_draw)} draws on {len(other.cases)} scans, expected the same draws on the same "
                "scans; score both with one scan list and as many resamples"
            )
        return DrawScores(self.of_draw - other.of_draw, self.resampled - other.resampled, self.cases)


class OverDraws(NamedTuple):
    """The mean over draws, its two 95 % intervals, and the probability of one as far from 0 were there nothing.

    `crossed` is over scans and draws; `over_draws` is Student's t over draws alone, None for a single one, whose
    `crossed` is over scans alone. `p` is the larger of those that the two intervals go with.
    """

    mean: float
    draws: int
    crossed: Interval
    over_draws: Interval | None
    p: float

    @property
    def holds_0(self) -> bool:
        """True where either interval does."""
        return any(each.low <= 0 <= each.high for each in (self.crossed, self.over_draws) if each is not None)

    @property
    def is_apart_from_0(self) -> bool:
        """True of several draws none of whose intervals holds 0: one alone may owe all of it to its labels."""
        return self.draws > 1 and not self.holds_0


class Judged(NamedTuple):
    """A difference with its p adjusted for all of its table, and whether it is shown."""

    estimate: OverDraws
    adjusted_p: float
    is_shown: bool


class Recovered(NamedTuple):
    """The share of what more labels give that a method gives without them.

    `interval` is crossed; None where what labels give is itself not shown, so that the share has no bounds.
    """

    share: float
    interval: Interval | None


def over_draws(scores: DrawScores, *, seed: int = 0) -> OverDraws:
    """Mean, intervals and p of a row's scores or of a difference; p is that of a mean of 0.

    The resamples of draws are stretched round their mean by sqrt(n / (n - 1)): the plain bootstrap of n draws has
    (n - 1) / n of the variance, which of few is much (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
    """
    of_draw, draws = scores.of_draw, len(scores.of_draw)
    mean = float(of_draw.mean())
    resampled = _crossed(scores, seed)
    least = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    p = min(1.0, 2 * (1 + least) / (1 + len(resampled)))
    interval = None
    if draws > 1:
        error = float(of_draw.std(ddof=1)) / math.sqrt(draws)
        half = float(scipy.stats.t.ppf(0.975, draws - 1)) * error
        interval = Interval(mean - half, mean + half)
        p = max(p, float(2 * scipy.stats.t.sf(abs(mean) / error, draws - 1)) if error else float(mean == 0))
    return OverDraws(mean, draws, Interval(*interval_95(resampled).tolist()), interval, p)


def in_common(scores: Sequence[DrawScores], draws: Sequence[Sequence[int]]) -> list[DrawScores] | None:
    """The scores in the draws that all of them have, in the first one's order; None where there is none.

    `draws` are the numbers of each one's draws. A draw that only some have is in no difference, by our own rule.
    """
    common = [draw for draw in draws[0] if all(draw in each for each in draws)]
    if not common:
        return None
    return [score.taken([own.index(draw) for draw in common]) for score, own in zip(scores, draws, strict=True)]


def recovered_share(few: DrawScores, method: DrawScores, everything: DrawScores, *, seed: int = 0) -> Recovered:
    """(method - few) / (everything - few) of the mean scores: our own measure of what unlabelled scans are worth.

    `few` labels and the `method` beside them, and all labels, in the same draws. Raises `InputError` as `minus` does.
    """
    gain, worth = method.minus(few), everything.minus(few)
    share = float(gain.of_draw.mean() / worth.of_draw.mean()) if worth.of_draw.mean() else float("nan")
    if over_draws(worth, seed=seed).holds_0:
        return Recovered(share, None)
    of_gain, of_worth = _crossed(gain, seed), _crossed(worth, seed)
    apart = of_worth != 0
    return Recovered(share, Interval(*interval_95(of_gain[apart] / of_worth[apart]).tolist()))


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """p values adjusted for being several, in their order: each claim below `ERROR_RATE` may be made beside the others.

    Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, worst = [0.0] * len(p), 0.0
    for rank, place in enumerate(np.argsort(p)):
        worst = max(worst, min(1.0, (len(p) - rank) * float(p[place])))
        adjusted[place] = worst
    return tuple(adjusted)


def judged(estimates: Sequence[OverDraws]) -> tuple[Judged, ...]:
    """The differences of a table that claims are made of, each judged beside the others.

    Shown is one of several draws, of which no interval holds 0, nor its p by `holm` exceeds 5 %. A rule of our own:
    what fails it is written as "not shown".
    """
    adjusted = holm([each.p for each in estimates])
    return tuple(
        Judged(each, p, bool(each.is_apart_from_0 and p <= ERROR_RATE))
        for each, p in zip(estimates, adjusted, strict=True)
    )


def _crossed(scores: DrawScores, seed: int) -> Float[np.ndarray, " bootstraps"]:
    """The mean over draws in each resample of both scans and draws."""
    bootstraps, draws = scores.resampled.shape
    on_all = scores.resampled.mean(axis=1)
    if draws == 1:
        return on_all
    times = _draws_of_resamples(bootstraps, draws, seed)
    drawn = (scores.resampled * times).mean(axis=1)
    return on_all + np.sqrt(draws / (draws - 1)) * (drawn - on_all)


def _draws_of_resamples(bootstraps: int, draws: int, seed: int) -> Int[np.ndarray, "bootstraps draws"]:
    # Another stream than that of the scans: resamples of both are independent.
    rng = np.random.default_rng((seed, 1))
    return rng.multinomial(draws, np.full(draws, 1 / draws), bootstraps)
