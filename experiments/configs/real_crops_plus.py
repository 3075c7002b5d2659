"""`focalmix_plus` on crops of real nodules: `real_crops.py` with the changes of `_plus.py`.

    python -m experiments.focalmix --config=configs/real_crops_plus.py --workdir=runs/real_crops_plus \\
        --config.data.manual_dir=DIR

Hardware: two CPU cores. Time: 8 minutes of one core. Everything here is our choice (o).
"""

from ml_collections import ConfigDict

from experiments.configs import real_crops
from experiments.configs._plus import plus


def get_config(_: str = "") -> ConfigDict:
    """The parent with the changes."""
    config = real_crops.get_config()
    config.update_from_flattened_dict(plus(config.steps))
    return config
