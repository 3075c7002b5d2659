"""FixMatch and STAC, nearly on the crops of `real_crops.py`; `_peers.py` says what is the paper's and what ours.

    python -m experiments.focalmix --config=configs/real_crops_fixmatch.py \\
        --workdir=runs/real_crops_fixmatch --config.data.manual_dir=DIR

Hardware: two CPU cores. Time: not measured here. Expected: not known, nothing was run.
"""

from ml_collections import ConfigDict

from experiments.configs import real_crops
from experiments.configs._peers import FIXMATCH


def get_config(_: str = "") -> ConfigDict:
    """The parent with the method's settings."""
    config = real_crops.get_config()
    config.update_from_flattened_dict(FIXMATCH)
    return config
