"""`focalmix_plus` with 25 labelled and 400 unlabelled scans of LUNA16: `luna_25.py` with the changes of `_plus.py`.

    python -m experiments.focalmix --config=configs/luna_25_plus.py --workdir=runs/luna_25_plus

Hardware: meant for one GPU of 80 GB. Time: not measured, LUNA16 could not be fetched where this was written; 9,000
steps train on labels alone, then 400 scans are searched, and twice again. Expected: nothing is promised on whole scans;
the changes were chosen on crops (docs/science.md). All of them are our choice (o).
"""

from ml_collections import ConfigDict

from experiments.configs import luna_25
from experiments.configs._plus import plus


def get_config(_: str = "") -> ConfigDict:
    """The parent with the changes."""
    config = luna_25.get_config()
    config.update_from_flattened_dict(plus(config.steps))
    return config
