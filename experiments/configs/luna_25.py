"""FocalMix with 25 labelled and 400 unlabelled scans of LUNA16.

    python -m experiments.focalmix --config=configs/luna_25.py --workdir=runs/luna_25

Hardware: meant for one GPU of 80 GB. Time: not measured, LUNA16 could not be fetched where this was written.
Expected, as the paper's table 1 has it: CPM 78.1 %, against 66.6 % without the unlabelled scans.
What is the paper's and what our choice is said beside each field of `focalmix.py`.
"""

from ml_collections import ConfigDict

from experiments.configs import focalmix


def get_config(_: str = "") -> ConfigDict:
    """The parent with 25 labelled scans."""
    config = focalmix.get_config()
    config.split.labelled = 25
    return config
