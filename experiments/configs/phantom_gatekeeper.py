"""A cascade whose LRN is tuned to doubt where it is wrong (Gatekeeper, arXiv 2502.19335), on the slide phantom.

    python -m experiments.sos --config=configs/phantom_gatekeeper.py --workdir=runs/phantom_gatekeeper

All else as `phantom_cascade.py`. Hardware: two CPU cores. Everything here is our choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, phantom_sos


def get_config(_: str = "") -> ConfigDict:
    """The same slides, networks and steps."""
    return _methods.gatekeeper(phantom_sos.get_config())
