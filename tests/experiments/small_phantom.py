"""A phantom so small that tests can train on it again and again."""

import importlib


def get_config(argument="phantom"):
    """Twelve scans, three of them labelled, as a config of that name has them otherwise.

    The network is of one stage, so that it compiles in seconds, and marks something before it has learnt; with `,wide`
    behind the name it is the config's own.
    """
    parent, _, network = argument.partition(",")
    config = importlib.import_module(f"experiments.configs.{parent}").get_config()
    config.data.phantom.scans = 12
    config.data.phantom.chest_zyx_mm = (64.0, 64.0, 64.0)
    config.split.labelled = config.split.unlabelled = 3
    config.inference.overlap = 0
    config.logging.bootstraps = 20
    config.patches.jitter = 8
    if network == "wide":
        return config
    config.patches.side = 16
    config.patches.jitter = 4
    config.mixup.object_window = 8
    config.model.features = (8,)
    config.model.blocks = (1,)
    config.model.pyramid_features = 8
    config.model.prior = 0.5
    config.anchors.strides = (2,)
    config.anchors.sides_mm = ((4.5, 7.0),)
    config.ssl.ramp_start_share = 0.2
    return config
