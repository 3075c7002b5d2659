"""The supervised baseline of `real_crops.py`: the same 10 labelled crops and steps, no unlabelled ones.

    python -m experiments.focalmix --config=configs/real_crops_supervised.py --workdir=runs/real_crops_supervised \\
        --config.data.manual_dir=DIR

Hardware: two CPU cores. Time: not measured here. Everything here is our choice (o), as in `real_crops.py`.
"""

from ml_collections import ConfigDict

from experiments.configs import real_crops


def get_config(_: str = "") -> ConfigDict:
    """The parent without unlabelled crops."""
    config = real_crops.get_config()
    config.split.unlabelled = 0
    config.patches.unlabelled_batch = 0
    return config
