"""The gain: what unlabelled scans are worth beside few labels, as a share of what all labels are worth.

`supervised_steady` has what `focalmix_plus` changes of the training alone, so that the unlabelled scans are set apart.

    python -m experiments.table --name=gain --data=phantom --workdir=runs/tables

Everything here is our choice (o): the paper has neither fewer than 25 labelled scans nor a share.
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import STEPS, focalmix_plus, supervised, supervised_beside_focalmix, supervised_steady

COMMAND = "experiments.focalmix"


def get_table(data: str) -> Table:
    """Few labels supervised, for as long and for as much computation, with FocalMix and focalmix_plus; all labels."""
    rows, differences, shares = [], [], []
    for labelled in (10, 25):
        few, more, method = supervised_beside_focalmix(labelled)
        steady = Row(
            name=f"supervised_steady_{labelled}",
            label=f"{labelled} labelled, supervised, constant rate and averaged",
            overrides=supervised_steady(labelled, STEPS[data]),
        )
        plus = Row(
            name=f"focalmix_plus_{labelled}",
            label=f"{labelled} labelled, focalmix_plus",
            overrides=focalmix_plus(labelled, STEPS[data]),
        )
        rows += [few, more, steady, method, plus]
        differences += [(method.name, few.name), (method.name, more.name)]
        differences += [(plus.name, each.name) for each in (few, more, steady, method)]
        shares += [(few.name, method.name, "all"), (few.name, plus.name, "all")]
    rows.append(Row(name="all", label="all labelled, supervised", overrides=supervised(-1)))
    return Table(
        title="What unlabelled scans are worth beside few labels",
        rows=tuple(rows),
        draws=(0, 1, 2, 3, 4),
        differences=tuple(differences),
        shares=tuple(shares),
    )
