"""The pictures of an SOS evaluation: confusion matrices, and accuracy against LP and time as c sweeps."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from medssl_jax.core.atomic import write_text
from medssl_jax.metrics.classification import Estimate
from medssl_jax.metrics.switching import SwitchCurve
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MATRICES_IN_A_ROW = 3


class SweptMethod(NamedTuple):
    """A method with a switch: its curve over c, the c it is used with, and the curve of the validation slides."""

    curve: SwitchCurve
    c: float
    validation_curve: SwitchCurve | None = None


class FixedMethod(NamedTuple):
    """A method without c: one point. LP is 1 where the LRN settles all, 0 where the HRN does."""

    accuracy: Estimate
    low_share: float
    seconds_per_slide: float


def write_switch_json(
    path: str | os.PathLike[str], swept: Mapping[str, SweptMethod], fixed: Mapping[str, FixedMethod], *, seed: int
) -> None:
    """Writes the numbers that `draw_switch_curves` shows, and the curves of the validation slides.

    Seconds that were not measured are null.
    """
    content = {
        "seed": seed,
        "swept": {
            name: {"c": each.c, "curve": _points(each.curve), "validation_curve": _points(each.validation_curve)}
            for name, each in swept.items()
        },
        "fixed": {name: method._asdict() | {"accuracy": method.accuracy._asdict()} for name, method in fixed.items()},
    }
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _points(curve: SwitchCurve | None) -> dict[str, list[float | None]] | None:
    return None if curve is None else {part: _numbers(values) for part, values in curve._asdict().items()}


def _numbers(values: Float[np.ndarray, " thresholds"]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def draw_confusions(confusions: Mapping[str, Int[np.ndarray, "classes classes"]], classes: Sequence[str]) -> "Figure":
    """One matrix a method: slides of each class (row) given each class (column), shaded by their share of the row."""
    columns = min(len(confusions), MATRICES_IN_A_ROW)
    rows = -(-len(confusions) // columns)
    figure = new_figure(0.6 + 3.1 * columns, 0.5 + 3.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(confusions) :]:
        axes.remove()
    for place, (name, confusion) in enumerate(confusions.items()):
        axes = grid.flat[place]
        _draw_confusion(axes, confusion, classes)
        axes.set_title(f"{name}: {np.trace(confusion)} of {confusion.sum()} right", fontsize=10)
        if place % columns == 0:
            axes.set_ylabel("class of the slide")
        if place >= len(confusions) - columns:
            axes.set_xlabel("class given")
    return figure


def draw_switch_curves(swept: Mapping[str, SweptMethod], fixed: Mapping[str, FixedMethod], *, seed: int) -> "Figure":
    """Accuracy against LP and against seconds a slide: a curve for each switch, its c marked, a point for the rest.

    All of one seed, which the title names.
    """
    figure = new_figure(10.0, 5.0)
    by_share, by_time = figure.subplots(1, 2, sharey=True)
    for axes, x in ((by_share, "low_share"), (by_time, "seconds_per_slide")):
        for place, (name, method) in enumerate(swept.items()):
            _draw_swept(axes, name, method, x, place)
        for place, (name, point) in enumerate(fixed.items(), len(swept)):
            _draw_fixed(axes, name, point, getattr(point, x), place)
        quieten(axes)
    by_share.set_xlim(-0.03, 1.03)
    by_share.set_xlabel("share of slides settled at low resolution (LP)")
    by_share.set_ylabel("total accuracy")
    by_share.set_ylim(top=min(1.01, by_share.get_ylim()[1]))
    by_time.set_xlim(left=0)
    by_time.set_xlabel("seconds a slide (IT)")
    handles, names = by_share.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 3), frameon=False, fontsize=9)
    figure.suptitle(f"Accuracy as c sweeps, seed {seed}; bands and bars: 95 %", fontsize=11)
    return figure


def _draw_confusion(axes: "Axes", confusion: Int[np.ndarray, "classes classes"], classes: Sequence[str]) -> None:
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), slides in np.ndenumerate(confusion):
        colour = "white" if share[row, column] > 0.55 else "0.15" if slides else "0.7"
        axes.text(column, row, str(slides), ha="center", va="center", color=colour, fontsize=10)
    axes.set_xticks(range(len(classes)), classes, fontsize=8)
    axes.set_yticks(range(len(classes)), classes, fontsize=8)
    # White lines between the cells.
    axes.set_xticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _draw_swept(axes: "Axes", name: str, method: SweptMethod, x: str, place: int) -> None:
    colour, curve = COLOURS[place % len(COLOURS)], method.curve
    across, chosen = getattr(curve, x), curve.index_at(method.c)
    axes.fill_between(across, curve.accuracy_lower, curve.accuracy_upper, color=colour, alpha=0.13, linewidth=0)
    axes.plot(across, curve.accuracy, color=colour, linewidth=1.8)
    axes.plot(
        *(across[chosen], curve.accuracy[chosen]),
        color=colour,
        marker=MARKERS[place % len(MARKERS)],
        markersize=8,
        markeredgecolor="white",
        linestyle="-",
        linewidth=1.8,
        zorder=4,
        label=f"{name}, c = {method.c:g}",
    )


def _draw_fixed(axes: "Axes", name: str, point: FixedMethod, across: float, place: int) -> None:
    value, low, high = point.accuracy
    axes.errorbar(
        across,
        value,
        [[value - low], [high - value]],
        color=COLOURS[place % len(COLOURS)],
        marker=MARKERS[place % len(MARKERS)],
        markersize=6,
        linestyle="none",
        elinewidth=1,
        capsize=2,
        zorder=3,
        label=name,
    )
