"""Figure 3 of the paper: the score over the number of unlabelled scans, with 100 labelled ones.

    python -m experiments.table --name=figure3 --data=luna16 --workdir=runs/tables

The numbers between 0 and 400 are ours (o), and so is everything on the phantom.
Hardware, LUNA16: meant for one GPU of 80 GB; time not measured.
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import focalmix, supervised

COMMAND = "experiments.focalmix"
LABELLED_AND_STEP = {"luna16": (100, 100), "phantom": (20, 40)}


def get_table(data: str) -> Table | None:
    """Supervised training, then four numbers of unlabelled scans."""
    if data not in LABELLED_AND_STEP:
        return None
    labelled, step = LABELLED_AND_STEP[data]
    rows = [Row(name="unlabelled_0", label="no unlabelled scan", overrides=supervised(labelled), x=0)]
    for unlabelled in (step, 2 * step, 3 * step, 4 * step):
        rows.append(
            Row(
                name=f"unlabelled_{unlabelled}",
                label=f"{unlabelled} unlabelled scans",
                overrides={**focalmix(labelled), "split.unlabelled": unlabelled},
                x=unlabelled,
            )
        )
    return Table(
        title=f"Figure 3: {labelled} labelled scans and more and more unlabelled ones",
        rows=tuple(rows),
        draws=(0, 1, 2),
        differences=tuple((row.name, "unlabelled_0") for row in rows[1:]),
        plot="sweep",
        x_name="unlabelled scans",
    )
