"""The supervised detector on all 533 training scans of LUNA16: what NLST's unlabelled scans are set against.

    python -m experiments.focalmix --config=configs/luna_full.py --workdir=runs/luna_full

Hardware: meant for one GPU of 80 GB. Time: not measured, LUNA16 could not be fetched where this was written.
The paper's base model (table 2) has a CPM of 89.2 % on 533 and 355 scans. Here MixUp is on (o).
"""

from ml_collections import ConfigDict

from experiments.configs import focalmix


def get_config(_: str = "") -> ConfigDict:
    """The parent with every training scan labelled."""
    config = focalmix.get_config()
    config.split.labelled = -1
    config.split.unlabelled = 0
    config.patches.unlabelled_batch = 0
    return config
