"""Table 1 of the paper: FocalMix beside the supervised baseline at three numbers of labelled scans.

    python -m experiments.table --name=table1 --data=luna16 --workdir=runs/tables

*Improv.* is the relative difference to the baseline without MixUp, which is the paper's as far as it tells; with MixUp,
and with MixUp for as much computation as FocalMix takes, the baseline is ours. The paper has one draw and no interval.
Hardware, LUNA16: meant for one GPU of 80 GB; time not measured. The phantom has fewer labels (o).
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import NO_MIXUP, supervised, supervised_beside_focalmix
from medssl_jax.report.nodules.froc_tables import PAPER_TABLE_1

COMMAND = "experiments.focalmix"
LABELLED = {"luna16": (25, 50, 100), "phantom": (5, 10, 20)}


def get_table(data: str) -> Table | None:
    """Four rows a number of labelled scans."""
    if data not in LABELLED:
        return None
    rows, differences = [], []
    for labelled in LABELLED[data]:
        base = Row(
            name=f"baseline_{labelled}",
            label=f"{labelled} labelled, supervised without MixUp",
            overrides={**supervised(labelled), **NO_MIXUP},
            paper=PAPER_TABLE_1.get((labelled, 0)),
        )
        mixed, more, method = supervised_beside_focalmix(labelled, paper=PAPER_TABLE_1.get((labelled, 400)))
        rows += [base, mixed, more, method]
        differences += [(method.name, each.name) for each in (base, mixed, more)]
    return Table(
        title="Table 1: FocalMix and supervised training",
        rows=tuple(rows),
        draws=(0, 1, 2, 3, 4),
        differences=tuple(differences),
    )
