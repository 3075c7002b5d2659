"""Patch-Level on LKS: the HRN alone, without the LRN's feature.

    python -m experiments.sos --config=configs/lks_patch.py --workdir=runs/lks_patch

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 69.27 %.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, sos


def get_config(_: str = "") -> ConfigDict:
    """The HRN alone."""
    return _methods.patch_level(sos.get_config())
