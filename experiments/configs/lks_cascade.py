"""A plain confidence cascade on LKS: Multi-Scale's training, SOS's switch.

    python -m experiments.sos --config=configs/lks_cascade.py --workdir=runs/lks_cascade

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
Not in the paper; the baseline that SOS must beat (asked for by arXiv 2201.01415).
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, sos


def get_config(_: str = "") -> ConfigDict:
    """A run of `lks_multiscale.py` has the same weights."""
    return _methods.cascade(sos.get_config())
