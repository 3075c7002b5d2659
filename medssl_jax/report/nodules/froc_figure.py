"""The FROC curve as a picture: sensitivity against false positives per scan, with the bootstrap's 95 % band."""

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from medssl_jax.metrics.nodules.froc import FrocResult
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_DENOMINATOR = 1024  # of rates written as fractions


def draw_froc(results: Mapping[str, FrocResult]) -> "Figure":
    """One curve with its band and its points for each named result, on one pair of axes.

    All must be scored at the same rates.
    """
    fps_per_scan = next(iter(results.values())).fps_per_scan
    figure = new_figure(7.0, 5.0)
    axes = figure.add_subplot()
    for place, (name, result) in enumerate(results.items()):
        colour = COLOURS[place % len(COLOURS)]
        curve = result.curve
        axes.fill_between(curve.fps_per_scan, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(curve.fps_per_scan, curve.sensitivity, color=colour, linewidth=1.8)
        axes.plot(
            result.fps_per_scan,
            result.sensitivity,
            color=colour,
            marker=MARKERS[place % len(MARKERS)],
            linestyle="none",
            markersize=5.5,
            clip_on=False,
            zorder=3,
            label=f"{name}: {_cpm(result)}",
        )
    axes.set_xscale("log", base=2)
    axes.set_xlim(fps_per_scan[0], fps_per_scan[-1])
    axes.set_xticks(fps_per_scan, [_as_fraction(rate) for rate in fps_per_scan])
    axes.set_ylim(0, 1)
    axes.set_yticks([tenth / 10 for tenth in range(11)])
    quieten(axes)
    axes.set_xlabel("false positives per scan")
    axes.set_ylabel("sensitivity")
    axes.set_title(_title(results), fontsize=11)
    if len(results) > 1:
        axes.legend(frameon=False, loc="best", fontsize=9)
    return figure


def _title(results: Mapping[str, FrocResult]) -> str:
    if len(results) == 1:
        ((name, result),) = results.items()
        return f"{name}: {_cpm(result)}\n{result.nodules} nodules in {result.scans} scans, band: 95 % over scans"
    sizes = {(result.nodules, result.scans) for result in results.values()}
    shared = "{} nodules in {} scans, ".format(*sizes.pop()) if len(sizes) == 1 else ""
    return f"FROC, {shared}bands: 95 % over scans"


def _as_fraction(rate: float) -> str:
    exact = Fraction(rate)
    return str(exact) if exact.denominator <= LARGEST_DENOMINATOR else f"{rate:g}"


def _cpm(result: FrocResult) -> str:
    low, high = result.cpm_interval_95
    return f"CPM {result.cpm:.3f} (95 % interval {low:.3f} to {high:.3f})"
