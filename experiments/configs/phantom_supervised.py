"""The supervised baseline of `phantom.py`: the same labelled scans and steps, no unlabelled ones.

    python -m experiments.focalmix --config=configs/phantom_supervised.py --workdir=runs/phantom_supervised

Hardware: two CPU cores. Time: about 5 minutes. Expected: a CPM near that of `phantom.py`, see README's table.
Everything here is our choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import phantom


def get_config(_: str = "") -> ConfigDict:
    """The parent without unlabelled scans."""
    config = phantom.get_config()
    config.split.unlabelled = 0
    config.patches.unlabelled_batch = 0
    return config
