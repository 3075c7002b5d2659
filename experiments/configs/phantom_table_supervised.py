"""The supervised baseline of `phantom_table.py`: the same labelled scans and steps, no unlabelled ones."""

from ml_collections import ConfigDict

from experiments.configs import phantom_table


def get_config(_: str = "") -> ConfigDict:
    """The parent without unlabelled scans."""
    config = phantom_table.get_config()
    config.split.unlabelled = 0
    config.patches.unlabelled_batch = 0
    return config
