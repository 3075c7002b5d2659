"""Crops by LUNA16's network beside the phantom's small one, so that what is found with it is no artefact of its size.

    python -m experiments.table --name=network --data=real_crops --workdir=runs/tables

Everything here is our choice (o).
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import focalmix, supervised

COMMAND = "experiments.focalmix"
LABELLED = 10
LARGE = "configs/real_crops_luna_network.py"


def get_table(data: str) -> Table | None:
    """Supervised training and FocalMix with either network."""
    if data != "real_crops":
        return None
    return Table(
        title=f"Two networks, {LABELLED} labelled crops",
        rows=(
            Row(name="small_supervised", label="phantom's network, supervised", overrides=supervised(LABELLED)),
            Row(name="small_focalmix", label="phantom's network, FocalMix", overrides=focalmix(LABELLED)),
            Row(
                name="large_supervised",
                label="LUNA16's network, supervised",
                config=LARGE,
                overrides=supervised(LABELLED),
            ),
            Row(name="large_focalmix", label="LUNA16's network, FocalMix", config=LARGE, overrides=focalmix(LABELLED)),
        ),
        draws=(0, 1, 2),
        differences=(("small_focalmix", "small_supervised"), ("large_focalmix", "large_supervised")),
    )
