"""The worth of labels: the supervised baseline of `phantom_table.py` with every training scan labelled."""

from ml_collections import ConfigDict

from experiments.configs import phantom_table_supervised


def get_config(_: str = "") -> ConfigDict:
    """The parent with all 180 training scans labelled."""
    config = phantom_table_supervised.get_config()
    config.split.labelled = -1
    return config
