"""The gain: what unlabelled scans are worth beside few labels, as a share of what all labels are worth.

    python -m experiments.table --name=gain --data=phantom --workdir=runs/tables

Everything here is our choice (o): the paper has neither fewer than 25 labelled scans nor a share.
"""

from experiments.runs.tables import Row, Table
from experiments.tables._arms import supervised, supervised_beside_focalmix


def get_table(data: str) -> Table:
    """Few labels supervised, for as long, for as much computation, and with FocalMix; all labels."""
    rows, differences, shares = [], [], []
    for labelled in (10, 25):
        few, more, method = supervised_beside_focalmix(labelled)
        rows += [few, more, method]
        differences += [(method.name, few.name), (method.name, more.name)]
        shares += [(few.name, method.name, "all")]
    rows.append(Row(name="all", label="all labelled, supervised", overrides=supervised(-1)))
    return Table(
        title="What unlabelled scans are worth beside few labels",
        rows=tuple(rows),
        draws=(0, 1, 2, 3, 4),
        differences=tuple(differences),
        shares=tuple(shares),
    )
