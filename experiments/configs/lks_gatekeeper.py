"""A cascade whose LRN is tuned to doubt where it is wrong (Gatekeeper, arXiv 2502.19335), on LKS.

    python -m experiments.sos --config=configs/lks_gatekeeper.py --workdir=runs/lks_gatekeeper

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The SOS paper does not have this method, so there is no number of it to expect.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, sos


def get_config(_: str = "") -> ConfigDict:
    """Multi-Scale's networks, SOS's switch, Gatekeeper's last steps."""
    return _methods.gatekeeper(sos.get_config())
