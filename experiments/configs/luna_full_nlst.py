"""FocalMix with all 533 labelled training scans of LUNA16 and 3,000 unlabelled scans of NLST.

    python -m experiments.focalmix --config=configs/luna_full_nlst.py --workdir=runs/luna_full_nlst

NLST is read from data/NLST as the NBIA retriever or idc-index left it; data_builders/nlst/README.md says how to get it.
Prepared, 3,000 scans take about 140 GB, their crop cache three times as much (extrapolated from two real scans).
Hardware: meant for one GPU of 80 GB. Time: not measured, neither data set could be fetched where this was written.
"""

from ml_collections import ConfigDict

from experiments.configs import luna_full


def get_config(_: str = "") -> ConfigDict:
    """`luna_full` with scans of another data set beside it."""
    config = luna_full.get_config()
    config.data.extra = ConfigDict(dict(data_set="nlst", manual_dir="data/NLST"))
    config.split.unlabelled_extra = 3000  # (p) "about 3,000"; which ones: (o) a seeded draw, one series a study
    config.patches.unlabelled_batch = 8
    return config
