"""Changes of FocalMix's recipe put together, one combination a row, from which `focalmix_plus` is chosen.

    python -m experiments.table --name=combined --data=real_crops --workdir=runs/tables \\
        --set=split.train_subsets=(0,1,2,3) --set=split.test_subsets=(4,)

so that the choice is made on scans of the training subsets and never on the test's. Everything here is our choice (o).
"""

from experiments.runs.tables import Table
from experiments.tables._arms import AVERAGED, Changes, changed_beside_supervised
from experiments.tables.changes import CHANGES, LABELLED

SURE = {**CHANGES["sure"][1], **CHANGES["teacher"][1]}
AUGMENTED = CHANGES["augmented"][1]
CONSTANT = CHANGES["constant_rate"][1]
FIRM = {"ssl.sure_background_below": 0.2}  # by the focal loss a score of .2 stands for few nodules
COMBINATIONS: Changes = {
    "sure_teacher": ("sure targets of an EMA teacher", SURE),
    "firm": ("and background from .2 down", {**SURE, **FIRM}),
    "firm_mined": ("background from .2 down, half round own marks", {**SURE, **FIRM, **CHANGES["mined"][1]}),
    "firm_augmented": ("and an augmented student", {**SURE, **FIRM, **AUGMENTED}),
    "firm_constant": ("background from .2 down, constant rate", {**SURE, **FIRM, **CONSTANT}),
    "firm_apart": ("background from .2 down, mixed apart", {**SURE, **FIRM, **CHANGES["apart"][1]}),
    "firm_all": ("all of these", {**SURE, **FIRM, **AUGMENTED, **CONSTANT, **CHANGES["apart"][1]}),
    "firm_more": (
        "background from .2 down, three unlabelled for one",
        {**SURE, **FIRM, **CHANGES["more_unlabelled"][1]},
    ),
    "truth": ("true labels", {**AVERAGED, "ssl.targets": "truth"}),
}


def get_table(data: str) -> Table | None:
    """Supervised training with an average of the weights, and each combination."""
    if data == "luna16":
        return None  # batches of its size are not those that the changes were written for
    return Table(
        title=f"Changes of FocalMix put together, {LABELLED} labelled",
        rows=changed_beside_supervised(LABELLED, COMBINATIONS),
        draws=(0, 1, 2),
        differences=tuple((name, "supervised_ema") for name in ("focalmix", *COMBINATIONS)),
    )
