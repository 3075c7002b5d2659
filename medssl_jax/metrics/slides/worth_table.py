"""Rows of methods of SOS's table, each trained in several draws: what they are worth over slides and trainings."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from medssl_jax.metrics.bootstrap import draw_counts
from medssl_jax.metrics.over_draws import DrawScores, OverDraws, in_common, judged, over_draws
from medssl_jax.metrics.slides.accuracy_by_share import AccuracyByShare, accuracy_by_share
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod

LOW_SHARES = (0.94, 0.80)  # the LP of the paper's SOS, and one at which more is left to choose
AREA, TOTAL_ACCURACY, LOW_ACCURACY = "area", "TA", "LRN's TA"
AT = tuple(f"TA at LP {share:.2f}" for share in LOW_SHARES)

Evaluations = Mapping[str, Mapping[int, EvaluatedMethod]]  # of each row, by draw


class RowWorth(NamedTuple):
    """A row: its figures over draws, of which it lacks those that it has no networks or no switch for.

    `figures` has the area under accuracy against LP, TA where LP is moved to `LOW_SHARES`, TA, and that of the LRN
    alone, by these names; `of_draw` has each in every draw, `low_share` is the mean LP.
    """

    name: str
    slides: int
    low_share: float
    figures: Mapping[str, OverDraws]
    of_draw: Mapping[str, Mapping[int, float]]


class FigureClaim(NamedTuple):
    """That a `figure` of `row` differs from `other`'s, in the draws that both have.

    `adjusted_p` is Holm's over all claims on the same figure, with which `is_shown` is decided.
    """

    row: str
    other: str
    figure: str
    difference: OverDraws
    adjusted_p: float
    is_shown: bool


class GainParts(NamedTuple):
    """The accuracy of `row` less that of `alone`, in two parts that add up to it.

    `by_training` is that of the row's own LRN less `alone`'s, `by_switching` what the row has beyond its own LRN.
    """

    row: str
    alone: str
    by_training: OverDraws
    by_switching: OverDraws


class WorthTable(NamedTuple):
    """All rows that have a draw, and the claims and gains whose rows have one in common."""

    rows: tuple[RowWorth, ...]
    claims: tuple[FigureClaim, ...]
    gains: tuple[GainParts, ...]


def worth_table(
    evaluations: Evaluations,
    *,
    differences: Sequence[tuple[str, str]] = (),
    gains: Sequence[tuple[str, str]] = (),
    bootstraps: int = 1000,
) -> WorthTable:
    """The table of what each row's draws came to; draws that only one side has are in no difference (our own rule).

    `differences` are pairs of a row and the one it is set against, in every figure that both have; `gains` are pairs of
    a row and the LRN trained alone. Raises `InputError` where rows set against each other have other slides.
    """
    scores = {name: _scores(list(of.values()), bootstraps) for name, of in evaluations.items() if of}

    def together(row: str, other: str, figure: str, of_other: str) -> list[DrawScores] | None:
        if figure not in scores.get(row, {}) or of_other not in scores.get(other, {}):
            return None
        draws = [list(evaluations[name]) for name in (row, other)]
        return in_common([scores[row][figure], scores[other][of_other]], draws)

    claims = []
    for figure in (AREA, *AT, TOTAL_ACCURACY):
        pairs = {pair: found for pair in differences if (found := together(*pair, figure, figure))}
        decided = judged([over_draws(of_row.minus(of_other)) for of_row, of_other in pairs.values()])
        for pair, (estimate, adjusted_p, is_shown) in zip(pairs, decided, strict=True):
            claims.append(FigureClaim(*pair, figure, estimate, adjusted_p, is_shown))
    parts = []
    for row, alone in gains:
        training = together(row, alone, LOW_ACCURACY, TOTAL_ACCURACY)
        whole = together(row, alone, TOTAL_ACCURACY, TOTAL_ACCURACY)
        if training and whole:
            own_low, of_alone = training
            parts.append(
                GainParts(row, alone, over_draws(own_low.minus(of_alone)), over_draws(whole[0].minus(own_low)))
            )
    return WorthTable(
        tuple(_row(name, evaluations[name], scores[name]) for name in scores), tuple(claims), tuple(parts)
    )


def curve_of(evaluation: EvaluatedMethod, counts: Int[np.ndarray, "resamples slides"]) -> AccuracyByShare | None:
    """Accuracy against LP as the method's own switch moves; None for a method without one."""
    settled_by = evaluation.settled_by
    if settled_by is None:
        return None
    low, high = (said.argmax(axis=1) == evaluation.test.label for said in evaluation.test.both())
    return accuracy_by_share(settled_by, low, high, counts)


def once(evaluation: EvaluatedMethod) -> Int[np.ndarray, "1 slides"]:
    """Each test slide once, as counts."""
    return np.ones((1, len(evaluation.names)), np.int64)


def _scores(evaluations: Sequence[EvaluatedMethod], bootstraps: int) -> dict[str, DrawScores]:
    """Each figure that the method has in every draw, on all slides and on resamples, the same for all rows."""
    counts = draw_counts(np.ones(len(evaluations[0].names), np.int64), bootstraps, 0)
    on_all, on_resamples = ([_figures(each, taken) for each in evaluations] for taken in (once(evaluations[0]), counts))
    return {
        figure: DrawScores(
            np.concatenate([each[figure] for each in on_all]),
            np.stack([each[figure] for each in on_resamples], axis=1),
            evaluations[0].names,
        )
        for figure in on_all[0]
    }


def _figures(evaluation: EvaluatedMethod, counts: Int[np.ndarray, "resamples slides"]) -> dict[str, np.ndarray]:
    def share(right: Bool[np.ndarray, " slides"]) -> np.ndarray:
        return counts @ right / counts.sum(axis=1)

    figures: dict[str, np.ndarray] = {}
    if curve := curve_of(evaluation, counts):
        figures[AREA] = curve.area()
        figures |= {name: curve.at(low_share) for name, low_share in zip(AT, LOW_SHARES, strict=True)}
    figures[TOTAL_ACCURACY] = share(evaluation.right)
    if evaluation.test.low is not None:
        figures[LOW_ACCURACY] = share(evaluation.test.low.argmax(axis=1) == evaluation.test.label)
    return figures


def _row(name: str, of_draws: Mapping[int, EvaluatedMethod], scores: Mapping[str, DrawScores]) -> RowWorth:
    evaluations = list(of_draws.values())
    return RowWorth(
        name,
        len(evaluations[0].names),
        float(np.mean([each.low_share for each in evaluations])),
        {figure: over_draws(each) for figure, each in scores.items()},
        {figure: dict(zip(of_draws, each.of_draw.tolist(), strict=True)) for figure, each in scores.items()},
    )
