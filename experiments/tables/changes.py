"""What each change of FocalMix's recipe is worth, one a row, set against FocalMix as it is.

    python -m experiments.table --name=changes --data=real_crops --workdir=runs/tables

Nothing here is the paper's; docs and configs say whose ideas these are. Settings are to be chosen on scans that are not
the test's: --set=split.train_subsets=(0,1,2,3) --set=split.test_subsets=(4,) makes the table of such a choice.
"""

from experiments.runs.table.declaration import Table
from experiments.tables._arms import AVERAGED, Changes, changed_beside_supervised

COMMAND = "experiments.focalmix"
LABELLED = 10
STUDENT = {
    "augmentation.intensity_scale": 0.2,
    "augmentation.intensity_shift": 0.1,
    "augmentation.blur": 0.5,
    "augmentation.noise": 0.05,
    "augmentation.cut_out": 0.3,
}
CHANGES: Changes = {
    "apart": ("labelled and unlabelled patches mixed apart", {"mixup.across": False}),
    "own_normaliser": ("a divisor of the loss each", {"loss.normaliser": "own"}),
    "weight_0.25": ("unlabelled patches count a quarter", {"ssl.weight": 0.25}),
    "sure": ("targets only where sure", {"ssl.targets": "sure"}),
    "teacher": ("EMA teacher", {"ssl.teacher": "ema", **AVERAGED}),
    "mined": ("half round the detector's own marks", {"patches.candidate_share": 0.5}),
    "constant_rate": ("constant learning rate", {"optimiser.schedule": "constant"}),
    "augmented": ("augmented student", STUDENT),
    "more_unlabelled": ("three unlabelled patches for a labelled one", {"patches.unlabelled_batch": 12}),
}


def get_table(data: str) -> Table | None:
    """Supervised training, the same with an average of the weights, FocalMix, and each change of it."""
    if data == "luna16":
        return None  # batches of its size are not those that the changes were written for
    against_focalmix = tuple((name, "focalmix") for name in CHANGES)
    return Table(
        title=f"What each change of FocalMix is worth, {LABELLED} labelled",
        rows=changed_beside_supervised(LABELLED, CHANGES),
        draws=(0, 1, 2),
        differences=(("focalmix", "supervised"), ("supervised_ema", "supervised"), *against_focalmix),
    )
