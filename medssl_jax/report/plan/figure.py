"""A plan as a picture: what each chip holds against its memory, and the step and the rate from 4 to 256 chips."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medssl_jax.plan.plan import Plan
from medssl_jax.report.figure_style import COLOURS, MARKERS, new_figure, quieten, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_plan_figure(path: str | os.PathLike, plans: Sequence[Plan]) -> None:
    """Writes `draw_plans(plans)` as a picture; the extension of `path` chooses the format."""
    write_figure(path, draw_plans(plans))


def draw_plans(plans: Sequence[Plan]) -> "Figure":
    """Memory of each plan as a bar up to its chip's limit, and rate against chips for those that have one."""
    figure = new_figure(10.0, 4.0)
    memory, rate = figure.subplots(1, 2)
    _draw_memory(memory, plans)
    _draw_rate(rate, plans)
    return figure


def _draw_memory(axes: "Axes", plans: Sequence[Plan]) -> None:
    parts = {
        "state and patches": [plan.memory.arguments for plan in plans],
        "program": [plan.memory.program for plan in plans],
        "temporaries": [plan.memory.peak - plan.memory.arguments - plan.memory.program for plan in plans],
    }
    below = [0.0] * len(plans)
    for colour, (name, sizes) in zip(COLOURS, parts.items(), strict=False):
        heights = [size / 2**30 for size in sizes]
        axes.bar(range(len(plans)), heights, bottom=below, color=colour, width=0.5, label=name)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    for place, plan in enumerate(plans):
        if plan.memory.limit:
            label = "memory of the chip" if place == 0 else "_"
            axes.hlines(plan.memory.limit / 2**30, place - 0.35, place + 0.35, color="black", linewidth=2, label=label)
    axes.set_xticks(range(len(plans)), [plan.name for plan in plans])
    axes.set_xlim(-0.6, len(plans) - 0.4)
    axes.set_ylabel("GiB on a chip")
    # Above, where no bar and no line can be.
    axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    quieten(axes)


def _draw_rate(axes: "Axes", plans: Sequence[Plan]) -> None:
    scaled = [plan for plan in plans if plan.scaling]
    for place, plan in enumerate(scaled):
        axes.plot(
            [each.chips for each in plan.scaling],
            [each.patches_per_second for each in plan.scaling],
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            markersize=max(4, 10 - 2 * place),  # plans of one chip lie on one another
            label=plan.name,
        )
    if not scaled:
        axes.text(0.5, 0.5, "no published figures of this chip", ha="center", va="center", transform=axes.transAxes)
        return
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    counts = [each.chips for each in scaled[0].scaling]
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xlabel("chips")
    axes.set_ylabel("patches a second, at most")
    axes.legend(frameon=False, fontsize=9)
    quieten(axes)
