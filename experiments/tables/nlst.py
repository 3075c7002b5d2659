"""NLST beside all labels: what about 3,000 unlabelled scans add to every labelled one of LUNA16.

    python -m experiments.table --name=nlst --data=luna16 --workdir=runs/tables

On the phantom both data sets draw the same chests: it shows that the machinery works, nothing of what NLST is
worth.
Hardware, LUNA16: meant for one GPU of 80 GB; time not measured.
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import supervised

COMMAND = "experiments.focalmix"
CONFIGS = {
    "luna16": ("configs/luna_full.py", "configs/luna_full_nlst.py"),
    "phantom": ("configs/phantom.py", "configs/phantom_nlst.py"),
}


def get_table(data: str) -> Table | None:
    """All labels, for as much computation, and with NLST."""
    if data not in CONFIGS:
        return None
    alone, beside = CONFIGS[data]
    return Table(
        title="NLST beside all labels",
        rows=(
            Row(name="all", label="all labelled", config=alone, overrides=supervised(-1)),
            Row(
                name="all_compute",
                label="all labelled, FocalMix's computation",
                config=alone,
                overrides=supervised(-1),
                compute_of="nlst",
            ),
            Row(name="nlst", label="all labelled, NLST unlabelled", config=beside, overrides={"split.labelled": -1}),
        ),
        draws=(0, 1, 2),
        differences=(("nlst", "all"), ("nlst", "all_compute")),
    )
