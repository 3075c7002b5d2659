"""`luna_full_nlst.py` on phantoms of both data sets: labelled synthetic LUNA16, unlabelled synthetic NLST.

    python -m experiments.focalmix --config=configs/phantom_nlst.py --workdir=runs/phantom_nlst

Hardware: two CPU cores. Time: about 6 minutes. The two phantoms draw the same chests, so it shows that the machinery
works and nothing of what NLST is worth. Everything here is our choice (o).
"""

from ml_collections import ConfigDict

from experiments.configs import phantom


def get_config(_: str = "") -> ConfigDict:
    """README's job with its unlabelled scans out of DICOM files."""
    config = phantom.get_config()
    config.data.extra = ConfigDict(
        dict(
            data_set="nlst",
            manual_dir="data/phantom_nlst/NLST",
            phantom=ConfigDict(
                dict(
                    seed=2,
                    patients=16,
                    chest_zyx_mm=(80.0, 112.0, 128.0),
                    nodules_per_scan=3.0,
                    share_without_nodules=0.2,
                )
            ),
        )
    )
    config.split.unlabelled = 0
    config.split.unlabelled_extra = -1
    config.ssl.judge_pseudo_labels = False  # nobody labelled these
    return config
