"""Table 2 of the paper: the supervised detector with all labels, on LUNA16's ten folds and on 533 and 355 scans.

    python -m experiments.table --name=table2 --data=luna16 --workdir=runs/tables

The marks of ten detectors, each on the fold that it was not trained on, are scored as one list of 888 scans.
Hardware, LUNA16: meant for one GPU of 80 GB; time not measured.
"""

from experiments.runs.table.declaration import Joined, Row, Table
from experiments.tables._arms import NO_MIXUP, supervised
from medssl_jax.report.nodules.froc_tables import PaperResult

COMMAND = "experiments.focalmix"
FOLDS = range(10)
# Wang et al., Table 2: CPM over the ten folds.
OTHERS = {"DeepLung": 0.842, "DeepSEED": 0.862, "S4ND": 0.897, "3D FPN": 0.919}


def get_table(data: str) -> Table | None:
    """A row a fold, which are joined, and one of the data set's own split, without MixUp and with it."""
    if data not in ("luna16", "phantom"):
        return None
    folds = tuple(
        Row(
            name=f"fold_{fold}",
            label=f"fold {fold}",
            overrides={
                **supervised(-1),
                **NO_MIXUP,
                "split.test_subsets": (fold,),
                "split.train_subsets": tuple(each for each in FOLDS if each != fold),
            },
        )
        for fold in FOLDS
    )
    split = Row(
        name="split",
        label="533 and 355 scans" if data == "luna16" else "its own split",
        overrides={**supervised(-1), **NO_MIXUP},
        paper=PaperResult((), 0.892),
    )
    mixed = Row(name="split_mixup", label=f"{split.label}, with MixUp", overrides=supervised(-1))
    return Table(
        title="Table 2: the supervised detector with all labels",
        rows=(*folds, split, mixed),
        draws=(0,),
        joined=(
            Joined(
                name="ten_folds",
                label="ten folds, joined",
                rows=tuple(row.name for row in folds),
                paper=PaperResult((), 0.912),
            ),
        ),
        differences=(("split_mixup", "split"),),
        cited={f"{name}, ten folds": PaperResult((), cpm) for name, cpm in OTHERS.items()},
    )
