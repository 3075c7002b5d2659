"""The pictures of an SOS evaluation: confusion matrices, and accuracy against LP and time as c sweeps."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Int

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.slides.classification import Estimate, accuracy_of_counts
from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod
from medssl_jax.metrics.slides.sos_comparison import Runs, curve_on, has_raw_seconds, seconds_of
from medssl_jax.metrics.slides.switching import MeanSeconds, SwitchCurve
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MATRICES_IN_A_ROW = 3


class SweptMethod(NamedTuple):
    """A method with a switch: the c it is used with, its curve over c, and the curve of the validation slides.

    `by_top_k` are those of the validation slides if the HRN looks at so many patches, where that was tried.
    """

    c: float
    curve: SwitchCurve
    validation_curve: SwitchCurve | None = None
    by_top_k: Mapping[int, SwitchCurve] = MappingProxyType({})


class FixedMethod(NamedTuple):
    """A method without c: one point. LP is 1 where the LRN settles all, 0 where the HRN does."""

    accuracy: Estimate
    low_share: float
    seconds_per_slide: float


class SwitchCurves(NamedTuple):
    """All methods of one seed, by name; as JSON it is `switch.json`, in which seconds not measured are null."""

    seed: int
    swept: dict[str, SweptMethod]
    fixed: dict[str, FixedMethod]


def switch_curves(runs: Runs) -> SwitchCurves:
    """The methods of the first seed, with the times of slides as downloaded where they are there."""
    raw = has_raw_seconds(runs)
    curves = SwitchCurves(next(iter(runs.values()))[0].seed, {}, {})
    for name, (each, *_) in runs.items():
        seconds = seconds_of(each, raw=raw)
        if each.has_c and (curve := curve_on(each.test, seconds)):
            curves.swept[name] = SweptMethod(
                each.c, curve, curve_on(each.validation, seconds), _curves_by_top_k(each, seconds)
            )
        else:
            accuracy = accuracy_of_counts(int(each.right.sum()), len(each.right))
            curves.fixed[name] = FixedMethod(accuracy, each.low_share, seconds.per_slide(each.low_share))
    return curves


def read_validation_curves(path: Path, name: str) -> dict[int, SwitchCurve]:
    """The validation curves of a method in a `switch.json`, by the patches that the HRN looks at, 0 for all.

    Raises `InputError` where there are none.
    """
    try:
        swept = json.loads(path.read_text())["swept"][name]
        curves = {0: swept["validation_curve"]} | {int(count): held for count, held in swept["by_top_k"].items()}
        return {
            count: SwitchCurve(**{field: np.array(values, np.float64) for field, values in held.items()})
            for count, held in curves.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: no curve of {name} on validation slides ({error!r}), which a budget is looked up in: give the "
            "--workdir of a finished run of experiments.sos that decides by confidence"
        ) from error


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


def draw_switch_curves(curves: SwitchCurves) -> "Figure":
    """Accuracy against LP and against seconds a slide: a curve for each switch, its c marked, a point for the rest."""
    figure = new_figure(10.0, 5.0)
    by_share, by_time = figure.subplots(1, 2, sharey=True)
    for axes, x in ((by_share, "low_share"), (by_time, "seconds_per_slide")):
        for place, (name, method) in enumerate(curves.swept.items()):
            _draw_swept(axes, name, method, x, place)
        for place, (name, point) in enumerate(curves.fixed.items(), len(curves.swept)):
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
    figure.suptitle(f"Accuracy as c sweeps, seed {curves.seed}; bands and bars: 95 %", fontsize=11)
    return figure


def _curves_by_top_k(each: EvaluatedMethod, seconds: MeanSeconds) -> dict[int, SwitchCurve]:
    curves = {}
    for count, high in each.validation_high_by_top_k.items():
        slides = dataclasses.replace(each.validation, high=high)
        if curve := curve_on(slides, MeanSeconds(seconds.low, each.high_seconds_by_top_k[count])):
            curves[count] = curve
    return curves


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
