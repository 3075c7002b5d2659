"""Multi-Scale on LKS: both networks on every slide, cross entropy only.

    python -m experiments.sos --config=configs/lks_multiscale.py --workdir=runs/lks_multiscale

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 85.37 %.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, sos


def get_config(_: str = "") -> ConfigDict:
    """The parameters of SOS, without its losses."""
    return _methods.multi_scale(sos.get_config())
