"""Parts of FocalMix taken out or changed, one a row, each set against FocalMix as it is.

    python -m experiments.table --name=ablations --data=phantom --workdir=runs/tables

A further one is a line below. Where a data set's config has the value already, the row is FocalMix's run itself.
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import NO_MIXUP, Changes, changed, focalmix, supervised

COMMAND = "experiments.focalmix"
LABELLED = {"luna16": 25, "phantom": 10, "real_crops": 10}
CHANGES: Changes = {
    "no_mixup": ("no MixUp", NO_MIXUP),
    "image_mixup": ("image MixUp alone", {"mixup.object": False}),
    "object_mixup": ("object MixUp alone", {"mixup.image": False}),
    "views_1": ("K = 1", {"ssl.views": 1}),
    "views_2": ("K = 2", {"ssl.views": 2}),
    "views_8": ("K = 8", {"ssl.views": 8}),
    "temperature_0.1": ("T = 0.1, nearly hard targets", {"ssl.temperature": 0.1}),
    "temperature_0.5": ("T = 0.5", {"ssl.temperature": 0.5}),
    "temperature_1": ("T = 1", {"ssl.temperature": 1.0}),
    "targets_sure": ("hard targets where sure, else left alone", {"ssl.targets": "sure"}),
    "cross_entropy": ("cross-entropy, weighted alike", {"loss.gamma": 0.0}),
    "weights_0.05": ("a0, a1 = .05, .95", {"loss.negative_weight": 0.05, "loss.positive_weight": 0.95}),
    "weights_0.25": ("a0, a1 = .25, .75", {"loss.negative_weight": 0.25, "loss.positive_weight": 0.75}),
    "weights_0.5": ("a0, a1 = .5, .5", {"loss.negative_weight": 0.5, "loss.positive_weight": 0.5}),
    "stem_24": ("stem at full resolution, 24 channels", {"model.stem_features": 24}),
    "stem_0": ("stem of blocks of voxels", {"model.stem_features": 0}),
}


def get_table(data: str) -> Table:
    """Supervised training, FocalMix, and each change of it."""
    labelled = LABELLED[data]
    rows = (
        Row(name="supervised", label="supervised", overrides=supervised(labelled)),
        Row(name="focalmix", label="FocalMix", overrides=focalmix(labelled)),
        *changed(focalmix(labelled), CHANGES),
    )
    return Table(
        title=f"FocalMix with {labelled} labelled scans, changed part by part",
        rows=rows,
        draws=(0, 1, 2),
        differences=tuple((row.name, "focalmix") for row in rows if row.name != "focalmix"),
    )
