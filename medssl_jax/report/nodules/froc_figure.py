"""The FROC curve as a picture: sensitivity against false positives per scan, with the bootstrap's 95 % band."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medssl_jax.metrics.froc import CURVE_FPS_PER_SCAN, FPS_PER_SCAN, FrocResult
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_froc(results: Mapping[str, FrocResult]) -> "Figure":
    """One curve with its band and its seven points for each named result, on one pair of axes."""
    figure = new_figure(7.0, 5.0)
    axes = figure.add_subplot()
    for place, (name, result) in enumerate(results.items()):
        colour = COLOURS[place % len(COLOURS)]
        curve = result.curve
        axes.fill_between(CURVE_FPS_PER_SCAN, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(CURVE_FPS_PER_SCAN, curve.sensitivity, color=colour, linewidth=1.8)
        axes.plot(
            FPS_PER_SCAN,
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
    axes.set_xlim(FPS_PER_SCAN[0], FPS_PER_SCAN[-1])
    axes.set_xticks(FPS_PER_SCAN, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
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


def _cpm(result: FrocResult) -> str:
    low, high = result.cpm_interval_95
    return f"CPM {result.cpm:.3f} (95 % interval {low:.3f} to {high:.3f})"
