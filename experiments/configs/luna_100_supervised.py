"""The supervised baseline of `luna_100.py`: the same labelled scans and steps, no unlabelled ones.

    python -m experiments.focalmix --config=configs/luna_100_supervised.py --workdir=runs/luna_100_supervised

Hardware: meant for one GPU of 80 GB. Time: not measured, LUNA16 could not be fetched where this was written.
The paper's baseline (table 1) has a CPM of 82.8 %. Here MixUp stays on (o), so that only the unlabelled scans differ.
"""

from ml_collections import ConfigDict

from experiments.configs import luna_100


def get_config(_: str = "") -> ConfigDict:
    """The parent without unlabelled scans."""
    config = luna_100.get_config()
    config.split.unlabelled = 0
    config.patches.unlabelled_batch = 0
    return config
