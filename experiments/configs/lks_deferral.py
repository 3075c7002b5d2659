"""Learned deferral on LKS: the HRN is asked where a head on v foretells that it gains (arXiv 2307.02764).

    python -m experiments.sos --config=configs/lks_deferral.py --workdir=runs/lks_deferral

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The SOS paper does not have this method, so there is no number of it to expect.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, sos


def get_config(_: str = "") -> ConfigDict:
    """Multi-Scale's networks and a head on v."""
    return _methods.deferral(sos.get_config())
