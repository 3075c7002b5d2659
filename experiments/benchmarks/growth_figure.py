"""The cost of growing work as a picture: a curve for each kind of it, beside a line that is as steep as linear."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.benchmarks.bench import Cost
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Curve:
    """The costs of some work at each of several amounts of a unit, rising."""

    work: str
    unit: str
    amounts: tuple[int, ...]
    costs: tuple[tuple[Cost, ...], ...]

    @property
    def cpu_seconds(self) -> list[float]:
        """The median at each amount."""
        return [statistics.median(cost.cpu for cost in costs) for costs in self.costs]

    @property
    def exponent(self) -> float:
        """The power of the amount that the seconds grow by, fitted to all amounts: 1 is linear."""
        slope, _ = np.polyfit(np.log(self.amounts), np.log(self.cpu_seconds), 1)
        return float(slope)


def draw_growth(curves: Sequence[Curve]) -> "Figure":
    """Amount and processor's seconds, each as a multiple of the curve's smallest."""
    figure = new_figure(7.0, 5.0)
    axes = figure.add_subplot()
    for place, curve in enumerate(curves):
        axes.plot(
            np.divide(curve.amounts, curve.amounts[0]),
            np.divide(curve.cpu_seconds, curve.cpu_seconds[0]),
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            label=f"{curve.work}: {curve.unit} to the power {curve.exponent:.2f}",
        )
    largest = max(curve.amounts[-1] / curve.amounts[0] for curve in curves)
    axes.plot([1, largest], [1, largest], color="0.6", linestyle="dashed", label="linear")
    axes.set_xscale("log")
    axes.set_yscale("log")
    quieten(axes)
    axes.set_xlabel("amount of work, times the smallest")
    axes.set_ylabel("processor's seconds, times those of the smallest")
    axes.legend(frameon=False, loc="best", fontsize=9)
    return figure
