"""Patch-Level on LKS: the HRN alone, without the LRN's feature.

    python -m experiments.sos --config=configs/lks_patch.py --workdir=runs/lks_patch

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 69.27 %.
"""

from ml_collections import ConfigDict

from experiments.configs import sos


def get_config(_: str = "") -> ConfigDict:
    """No LRN, nothing to join."""
    config = sos.get_config()
    config.method.use_low = False
    config.method.join = "none"
    config.method.name = "Patch-Level"
    config.inference.rule = "high"
    return config
