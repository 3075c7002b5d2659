"""FocalMix as in README's table of the phantom: `phantom.py` with more scans and steps.

    python -m experiments.table --name=gain --data=phantom --rows=supervised_10,focalmix_10,all --draws=0,1,2 \
        --workdir=runs/tables

Hardware: two CPU cores. Everything here is our choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import phantom


def get_config(_: str = "") -> ConfigDict:
    """The parent with three times the scans, so that intervals are narrower, and longer."""
    config = phantom.get_config()
    config.steps = 1500
    config.data.phantom.scans = 300
    config.data.manual_dir = "data/phantom_table/LUNA16"
    config.data.data_dir = "data/phantom_table/tfds"
    config.data.cache_dir = "data/phantom_table/cache"
    config.split.unlabelled = 160
    config.logging.log_every = 100
    config.logging.save_every = 500
    return config
