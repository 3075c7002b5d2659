"""Learned deferral on the slide phantom: the HRN is asked where a head on v foretells that it gains (arXiv 2307.02764).

    python -m experiments.sos --config=configs/phantom_deferral.py --workdir=runs/phantom_deferral

All else as `phantom_multiscale.py`, with fewer slides to train on. Hardware: two CPU cores. Everything here is our
choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, phantom_sos


def get_config(_: str = "") -> ConfigDict:
    """The same slides and networks."""
    config = _methods.deferral(phantom_sos.get_config())
    config.inference.deferral_budget = 0.25  # about as many slides show their class at full resolution only
    return config
