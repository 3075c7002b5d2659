"""Other semi-supervised methods in FocalMix's code and budget; `configs/_peers.py` says what of each is its paper's.

    python -m experiments.table --name=peers --data=real_crops --workdir=runs/tables

None is a reproduction. Everything here is our choice (o).
"""

from experiments.configs._peers import DENSE_TEACHER, FIXMATCH, MEAN_TEACHER
from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import NO_MIXUP, Changes, changed, focalmix, supervised

COMMAND = "experiments.focalmix"
LABELLED = {"luna16": 25, "phantom": 10, "real_crops": 10}
PEERS: Changes = {
    "mean_teacher": ("Mean Teacher, nearly", MEAN_TEACHER),
    "fixmatch": ("FixMatch and STAC, nearly", FIXMATCH),
    "dense_teacher": ("Dense Teacher, nearly", DENSE_TEACHER),
}


def get_table(data: str) -> Table:
    """Supervised training without MixUp, which the peers have none of, and with it; FocalMix; the peers."""
    rows = (
        Row(
            name="baseline",
            label="supervised without MixUp",
            overrides={**supervised(LABELLED[data]), **NO_MIXUP},
        ),
        Row(name="supervised", label="supervised", overrides=supervised(LABELLED[data])),
        Row(name="focalmix", label="FocalMix", overrides=focalmix(LABELLED[data])),
        *changed(focalmix(LABELLED[data]), PEERS),
    )
    return Table(
        title=f"FocalMix and other methods, {LABELLED[data]} labelled",
        rows=rows,
        draws=(0, 1, 2),
        differences=(
            ("focalmix", "supervised"),
            *((name, "baseline") for name in PEERS),
            *((name, "focalmix") for name in PEERS),
        ),
    )
