"""An evaluation of methods in full: both tables, the work of the switches, confusion matrices, the curves over c."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from medssl_jax.metrics.slides.method_scores import scores_of_methods
from medssl_jax.metrics.slides.sos_comparison import (
    Runs,
    Truth,
    choice_of_c,
    scores_of_switch,
)
from medssl_jax.metrics.slides.switch_worth import SettledRisk, Worth, areas, settled_risk
from medssl_jax.metrics.slides.switching import SwitchScores
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.json_report import write_json
from medssl_jax.report.slides.sos_figures import draw_confusions, draw_switch_curves, switch_curves
from medssl_jax.report.slides.sos_results import evaluation_as_json
from medssl_jax.report.slides.sos_tables import both_tables, timing_tables


def write_summary(
    folder: Path, runs: Runs, classes: Sequence[str], *, is_lks: bool, needs_high: Truth = None, markdown: bool = False
) -> str:
    """Writes `results.json`, `confusion.png`, `switch.png` and `switch.json`; returns what to print.

    Times in Table 3 and in the curves are those of slides as downloaded, where they are there. Curves are those of the
    first seed.
    """
    curves = switch_curves(runs)
    scores = scores_of_methods(runs, len(classes))
    write_figure(folder / "confusion.png", draw_confusions({each.method: each.confusion for each in scores}, classes))
    write_figure(folder / "switch.png", draw_switch_curves(curves))
    write_json(folder / "switch.json", curves)
    write_json(folder / "results.json", evaluation_as_json(runs, scores, classes, needs_high))
    tables = both_tables(runs, scores, classes, is_lks=is_lks, markdown=markdown)
    lines = [
        *(worth_line(each, "area under accuracy against LP") for each in areas(runs)),
        *_switches(runs, needs_high),
        *_choices_of_c(runs),
        *_promises(runs),
        *_by_top_k(runs),
    ]
    return "\n\n".join([tables, *timing_tables(runs, markdown=markdown), *lines])


def switch_line(name: str, scores: SwitchScores, slides: int) -> str:
    """A line on how well a switch sends the slides that need the HRN."""
    precision, recall, chance = (
        "-" if math.isnan(share) else f"{share:.2f}" for share in (scores.precision, scores.recall, scores.chance)
    )
    return (
        f"{name}: {scores.sent} of {slides} slides sent to the HRN, {scores.needed} need it, {scores.sent_and_needed} "
        f"are both: precision {precision} (at random {chance}), recall {recall}"
    )


def worth_line(worth: Worth, what: str) -> str:
    """A figure in hundredths, its interval over slides and trainings, and whether it is apart from 0."""
    name, value = worth
    low, high = (100 * end for end in value.crossed)
    trainings = f", over {value.draws} trainings" if value.draws > 1 else ", over slides alone"
    told = ": not shown" if value.holds_0 else ""
    return f"{name}: {what} {100 * value.mean:.2f} (95 % interval {low:.2f} to {high:.2f}{trainings}){told}"


def promise_line(name: str, seed: int, promise: SettledRisk) -> str:
    """What may be promised of a c, in a sentence."""
    on_test = (
        "" if promise.on_test is None else f"; of the test slides that it settles on {100 * promise.on_test:.1f} %"
    )
    return (
        f"{name}, seed {seed}: at c = {promise.c:g} the LRN settles {promise.settled} validation slides, "
        f"{promise.wrong} of them wrongly: with {100 * promise.confidence:g} % confidence it is wrong on at most "
        f"{100 * promise.at_most:.1f} % of those it settles, if c was not chosen on these{on_test}"
    )


def _promises(runs: Runs) -> Iterator[str]:
    for name, evaluations in runs.items():
        for each in evaluations:
            if promise := settled_risk(each):
                yield promise_line(name, each.seed, promise)


def _by_top_k(runs: Runs) -> Iterator[str]:
    for name, evaluations in runs.items():
        for each in evaluations:
            told = [f"{count}: {100 * right.mean():.2f}" for count, right in each.right_by_top_k().items()]
            if told:
                yield f"{name}, seed {each.seed}: TA by the number of patches that the HRN looks at: {', '.join(told)}"


def _switches(runs: Runs, needs_high: Truth) -> Iterator[str]:
    for name, evaluations in runs.items():
        if scores := scores_of_switch(evaluations, needs_high):
            yield switch_line(name, scores, sum(len(each.sent) for each in evaluations))


def _choices_of_c(runs: Runs) -> Iterator[str]:
    for name, evaluations in runs.items():
        for each in evaluations:
            if choice := choice_of_c(each):
                yield (
                    f"{name}, seed {each.seed}: validation would choose c = {choice.c:.3f} (accuracy "
                    f"{choice.validation_accuracy:.3f} on {choice.validation_slides} slides); on the test slides that "
                    f"gives {choice.test_accuracy:.3f} at LP {choice.test_low_share:.2f}"
                )
