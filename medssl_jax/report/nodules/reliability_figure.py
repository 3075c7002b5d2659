"""The reliability of a detector's scores as a picture: the share of hits against the score, as it is and calibrated."""

from typing import TYPE_CHECKING

from medssl_jax.metrics.nodules.matching import Outcome
from medssl_jax.metrics.nodules.operating_points import Calibration, reliability
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_DOT = 200.0  # square points, of the bin with most marks


def draw_reliability(outcome: Outcome, calibration: Calibration) -> "Figure":
    """Both reliabilities, a dot for each tenth of the range, its area by the marks in it; on the diagonal is right."""
    figure = new_figure(5.5, 5.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    score = outcome.entry_score
    named = {
        f"score, error {calibration.error_before:.3f}": score,
        f"calibrated, error {calibration.error_after:.3f} on scans left out": calibration(score),
    }
    for place, (name, probability) in enumerate(named.items()):
        mean, share, count = reliability(probability, outcome.entry_is_hit)
        axes.plot(mean, share, color=COLOURS[place], linewidth=1.2)
        size = LARGEST_DOT * count / count.max()
        axes.scatter(
            mean,
            share,
            s=size,
            color=COLOURS[place],
            marker=MARKERS[place],
            alpha=0.7,
            label=name,
            clip_on=False,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share of marks on a nodule")
    quieten(axes)
    axes.legend(frameon=False, loc="upper left", fontsize=9, markerscale=0.4)
    axes.set_title(f"Reliability, {len(score)} marks on {len(outcome.series_uids)} validation scans", fontsize=11)
    return figure
