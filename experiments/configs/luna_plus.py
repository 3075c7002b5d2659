"""`focalmix_plus` with 25, 50 or 100 labelled scans of LUNA16 and 400 unlabelled ones.

    python -m experiments.focalmix --config=configs/luna_plus.py:25 --workdir=runs/luna_plus_25

`luna_25.py`, `luna_50.py` or `luna_100.py` with the changes of `_plus.py`, all of which are our choice (o).
Hardware: meant for one GPU of 80 GB. Time: not measured, LUNA16 could not be fetched where this was written; 9,000
steps train on labels alone, then 400 scans are searched, and twice again. Expected: nothing is promised on whole scans;
the changes were chosen on crops (docs/science.md).
"""

from ml_collections import ConfigDict

from experiments.configs import luna_25, luna_50, luna_100
from experiments.configs._plus import plus
from medssl_jax.core.errors import InputError

PARENTS = {"25": luna_25, "50": luna_50, "100": luna_100}


def get_config(labelled: str = "25") -> ConfigDict:
    """The config of so many labelled scans, with the changes. Raises `InputError` for a number without a config."""
    if labelled not in PARENTS:
        raise InputError(
            f"configs/luna_plus.py:{labelled}: expected 25, 50 or 100 labelled scans, such as configs/luna_plus.py:25"
        )
    config = PARENTS[labelled].get_config()
    config.update_from_flattened_dict(plus(config.steps))
    return config
