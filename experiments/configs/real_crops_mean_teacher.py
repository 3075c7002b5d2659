"""Mean Teacher on the crops of `real_crops.py`; `_peers.py` says what is the paper's and what ours.

    python -m experiments.focalmix --config=configs/real_crops_mean_teacher.py \\
        --workdir=runs/real_crops_mean_teacher --config.data.manual_dir=DIR

Hardware: two CPU cores. Time: not measured here. Expected: not known, nothing was run.
"""

from ml_collections import ConfigDict

from experiments.configs import real_crops
from experiments.configs._peers import MEAN_TEACHER


def get_config(_: str = "") -> ConfigDict:
    """The parent with the method's settings."""
    config = real_crops.get_config()
    config.update_from_flattened_dict(MEAN_TEACHER)
    return config
