"""The gain of `focalmix_plus` in runs that are long enough for supervised training to have had what more steps give.

    python -m experiments.table --name=longer --data=real_crops --workdir=runs/tables

In the table `gain` supervised training with FocalMix's computation is far above the same in FocalMix's steps: an arm
that has not converged flatters whatever is set against it. Everything here is our choice (o).
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import focalmix, focalmix_plus, supervised, supervised_steady

COMMAND = "experiments.focalmix"
LABELLED = 10
STEPS = 5000


def get_table(data: str) -> Table | None:
    """Few labels supervised, FocalMix, focalmix_plus, its optimiser alone, its computation alone; all labels."""
    if data == "luna16":
        return None  # its configs are long already
    long = {"steps": STEPS}
    return Table(
        title=f"{STEPS:,} steps for every row, {LABELLED} labelled",
        rows=(
            Row(name="supervised", label="supervised", overrides={**supervised(LABELLED), **long}),
            Row(
                name="supervised_steady",
                label="supervised, constant rate and averaged",
                overrides={**supervised_steady(LABELLED, STEPS), **long},
            ),
            Row(name="focalmix", label="FocalMix", overrides={**focalmix(LABELLED), **long}),
            Row(name="focalmix_plus", label="focalmix_plus", overrides={**focalmix_plus(LABELLED, STEPS), **long}),
            Row(
                name="supervised_compute",
                label="supervised, focalmix_plus's computation",
                overrides={**supervised(LABELLED), **long},
                compute_of="focalmix_plus",
            ),
            Row(name="all", label="all labelled, supervised", overrides={**supervised(-1), **long}),
        ),
        draws=(0, 1, 2, 3, 4),
        differences=(
            ("focalmix_plus", "supervised"),
            ("focalmix_plus", "supervised_steady"),
            ("focalmix_plus", "supervised_compute"),
            ("focalmix", "supervised"),
        ),
        shares=(("supervised", "focalmix_plus", "all"),),
    )
