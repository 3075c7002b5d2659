"""Changes of FocalMix's recipe put together, one combination a row, from which `focalmix_plus` is chosen.

    python -m experiments.table --name=combined --data=real_crops --workdir=runs/tables \\
        --set=split.train_subsets=(0,1,2,3) --set=split.test_subsets=(4,)

so that the choice is made on scans of the training subsets and never on the test's. Everything here is our choice (o).
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import AVERAGED, STEPS, Changes, changed_beside_supervised, supervised_steady
from experiments.tables.changes import CHANGES, LABELLED

COMMAND = "experiments.focalmix"
MINED = CHANGES["mined"][1]
AUGMENTED = CHANGES["augmented"][1]
TEACHER = CHANGES["teacher"][1]
STEADY = {**AVERAGED, **CHANGES["constant_rate"][1]}  # the average does what a falling rate would
SURE = {**CHANGES["sure"][1], **TEACHER}
FIRM = {**SURE, "ssl.sure_background_below": 0.2}  # by the focal loss a score of .2 stands for few nodules
STRICT = {**SURE, "ssl.sure_positive_from": 0.6, "ssl.sure_positive_ratio": 0.4, "ssl.sure_background_below": 0.4}
MARKED = {**STEADY, **MINED, "ssl.targets": "marks"}
COMBINATIONS: Changes = {
    "mined": ("half round own marks", MINED),
    "steady": ("EMA teacher, constant rate", {**TEACHER, **STEADY}),
    "steady_mined": ("EMA teacher, constant rate, half round own marks", {**TEACHER, **STEADY, **MINED}),
    "steady_mined_augmented": ("and an augmented student", {**TEACHER, **STEADY, **MINED, **AUGMENTED}),
    "strict_mined": ("sure and strict, constant rate, half round own marks", {**STRICT, **STEADY, **MINED}),
    "marks": ("marks for labels, constant rate, half round them", MARKED),
    "marks_rounds": ("and searched three times", {**MARKED, "ssl.searches": 3}),
    "marks_augmented": ("and an augmented student", {**MARKED, "ssl.searches": 3, **AUGMENTED}),
    "sure_teacher": ("sure targets of an EMA teacher", SURE),
    "firm": ("and background from .2 down", FIRM),
    "firm_mined": ("background from .2 down, half round own marks", {**FIRM, **MINED}),
    "firm_all": (
        "background from .2 down, augmented, constant rate, mixed apart",
        {**FIRM, **AUGMENTED, **STEADY, **CHANGES["apart"][1]},
    ),
    "truth": ("true labels", {**AVERAGED, "ssl.targets": "truth"}),
    "truth_steady": ("true labels, constant rate", {**STEADY, "ssl.targets": "truth"}),
}


def get_table(data: str) -> Table | None:
    """Supervised training with an average of the weights, at a falling and at a constant rate; each combination."""
    if data == "luna16":
        return None  # batches of its size are not those that the changes were written for
    steady = Row(
        name="supervised_steady",
        label="supervised, averaged, constant rate",
        overrides=supervised_steady(LABELLED, STEPS[data]),
    )
    return Table(
        title=f"Changes of FocalMix put together, {LABELLED} labelled",
        rows=(*changed_beside_supervised(LABELLED, COMBINATIONS), steady),
        draws=(0, 1, 2),
        differences=tuple((name, "supervised_ema") for name in (steady.name, "focalmix", *COMBINATIONS)),
    )
