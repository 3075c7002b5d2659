"""Multi-Scale on LKS: both networks on every slide, cross entropy only.

    python -m experiments.sos --config=configs/lks_multiscale.py --workdir=runs/lks_multiscale

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 85.37 %.
"""

from ml_collections import ConfigDict

from experiments.configs import sos


def get_config(_: str = "") -> ConfigDict:
    """The parameters of SOS, without its losses."""
    config = sos.get_config()
    config.method.paradoxical_weight = 0.0
    config.method.hesitant_weight = 0.0
    config.method.hurried_weight = 0.0
    config.method.name = "Multi-Scale"
    config.inference.rule = "high"
    return config
