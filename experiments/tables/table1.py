"""Table 1 of the paper: FocalMix beside the supervised baseline at three numbers of labelled scans.

    python -m experiments.table --name=table1 --data=luna16 --workdir=runs/tables

*Improv.* is the relative difference to the baseline without MixUp, which is the paper's as far as it tells; with MixUp,
and with MixUp for as much computation as FocalMix takes, the baseline is ours. The paper has one draw and no interval.
Hardware, LUNA16: meant for one GPU of 80 GB; time not measured. The phantom has fewer labels (o).
"""

from experiments.runs.tables import Row, Table
from experiments.tables._arms import NO_MIXUP, focalmix, supervised
from medssl_jax.report.nodules.froc_tables import PAPER_TABLE_1

LABELLED = {"luna16": (25, 50, 100), "phantom": (5, 10, 20)}


def get_table(data: str) -> Table | None:
    """Four rows a number of labelled scans."""
    if data not in LABELLED:
        return None
    rows, differences = [], []
    for labelled in LABELLED[data]:
        base, mixed, more, method = (
            f"{name}_{labelled}" for name in ("baseline", "supervised", "supervised_compute", "focalmix")
        )
        rows += [
            Row(
                name=base,
                label=f"{labelled} labelled, supervised without MixUp",
                overrides={**supervised(labelled), **NO_MIXUP},
                paper=PAPER_TABLE_1.get((labelled, 0)),
            ),
            Row(name=mixed, label=f"{labelled} labelled, supervised", overrides=supervised(labelled)),
            Row(
                name=more,
                label=f"{labelled} labelled, supervised, FocalMix's computation",
                overrides=supervised(labelled),
                compute_of=method,
            ),
            Row(
                name=method,
                label=f"{labelled} labelled, FocalMix",
                overrides=focalmix(labelled),
                paper=PAPER_TABLE_1.get((labelled, 400)),
            ),
        ]
        differences += [(method, base), (method, mixed), (method, more)]
    return Table(
        title="Table 1: FocalMix and supervised training",
        rows=tuple(rows),
        draws=(0, 1, 2, 3, 4),
        differences=tuple(differences),
    )
