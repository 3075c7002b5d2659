"""RDMS on LKS: Multi-Scale with a policy network that decides from the low-resolution image.

    python -m experiments.sos --config=configs/lks_rdms.py --workdir=runs/lks_rdms

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 88.78 %, with 55 % of the slides settled at low resolution.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, sos


def get_config(_: str = "") -> ConfigDict:
    """Multi-Scale and a policy."""
    return _methods.rdms(sos.get_config())
