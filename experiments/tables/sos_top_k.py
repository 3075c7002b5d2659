"""SOS where its high-resolution network looks at a few patches only: accuracy and seconds, from one in 64 to all.

    python -m experiments.table --name=sos_top_k --data=slide_phantom --workdir=runs/tables --seconds=120

The patches are those that speak most for the low-resolution network's class; others are not decoded. Rows share one
training, which is that of the table `sos`. Image-Level is the ceiling of speed. None of it is the paper's.
Hardware, LKS: meant for one GPU of 80 GB; time not measured.
"""

from experiments.configs import _methods, phantom_sos, sos, telling_sos
from experiments.runs.table.declaration import Row, Table
from experiments.tables._slide_arms import method_row, sos_row
from medssl_jax.metrics.slides import sos_methods

COMMAND = "experiments.sos"
CONFIGS = {"lks": sos, "slide_phantom": phantom_sos, "telling_phantom": telling_sos}
ONE_IN = (64, 32, 16, 8, 4, 2)


def get_table(data: str) -> Table:
    """Multi-Scale, which looks at all of every slide, then SOS with more and more patches; each beside Multi-Scale."""
    all_patches = CONFIGS[data].get_config().data.grid ** 2
    few = tuple(
        Row(
            name=f"sos_{patches}",
            label=f"{sos_methods.SOS}, {patches} patch{'es' if patches > 1 else ''}",
            overrides={"inference.top_k": patches},
        )
        for patches in (all_patches // share for share in ONE_IN)
    )
    compared = (*few, sos_row())
    return Table(
        title="SOS as it looks at fewer patches",
        rows=(method_row("image", _methods.image_level), method_row("multiscale", _methods.multi_scale), *compared),
        draws=(0, 1, 2, 3, 4),
        differences=tuple((row.name, "multiscale") for row in compared),
    )
