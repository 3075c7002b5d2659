"""The phantom so small that tests can train on it again and again."""

from experiments.configs import phantom


def get_config():
    """Twelve scans, three of them labelled."""
    config = phantom.get_config()
    config.data.phantom.scans = 12
    config.data.phantom.chest_zyx_mm = (64.0, 64.0, 64.0)
    config.split.labelled = config.split.unlabelled = 3
    config.patches.jitter = 8
    config.inference.overlap = 0
    config.logging.bootstraps = 20
    return config
