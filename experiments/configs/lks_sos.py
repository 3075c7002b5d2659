"""SOS on LKS: the LRN answers where it is confident, the HRN elsewhere.

    python -m experiments.sos --config=configs/lks_sos.py --workdir=runs/lks_sos

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 90.73 %, with 94 % of the slides settled at low resolution.
"""

from ml_collections import ConfigDict

from experiments.configs import sos


def get_config(_: str = "") -> ConfigDict:
    """The parent as it is."""
    return sos.get_config()
