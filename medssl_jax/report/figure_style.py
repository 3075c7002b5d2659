"""The style of all figures: colours, marks, quiet axes, and how they are written."""

import io
import os
from typing import TYPE_CHECKING

from medssl_jax.core.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Wong, Nature Methods 8 (2011): told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def new_figure(width_inches: float, height_inches: float) -> "Figure":
    """An empty figure, drawn without pyplot: no window, no global state, and training never imports matplotlib."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def quieten(axes: "Axes") -> None:
    """A pale grid behind the curves and no frame above and on the right."""
    axes.grid(color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def write_figure(path: str | os.PathLike[str], figure: "Figure") -> None:
    """Writes the figure; the extension of `path` chooses the format."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def png_of(figure: "Figure") -> bytes:
    """The figure as the bytes of a PNG, for a page and a file alike."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
