"""The detector that ships: crops of real nodules, beside a chest that is known to hold none.

    python -m experiments.focalmix --config=configs/real_crops_detector.py --workdir=runs/real_crops_detector \\
        --config.data.manual_dir=CROPS --config.data.extra.manual_dir=CHEST

CROPS as in `configs/real_crops.py`; CHEST is a folder with scans without a nodule. Half of the patches are cut from
these and are background: what a detector of crops has not seen is what a chest holds far from nodules.

Hardware: two CPU cores. Time: not measured here. Expected: nothing is promised. Everything here is our choice (o): the
paper has no crops.
"""

from ml_collections import ConfigDict

from experiments.configs import real_crops


def get_config(_: str = "") -> ConfigDict:
    """Supervised training on all crops but one subset's, with known background."""
    config = real_crops.get_config()
    config.steps = 5000
    config.data.extra = ConfigDict(dict(data_set="folder", manual_dir="data/no_nodule_scan"))
    config.split.train_subsets = (0, 1, 2, 3, 4, 5)
    config.split.test_subsets = (9,)
    config.split.labelled = -1
    config.split.unlabelled = 0
    config.split.unlabelled_extra = -1

    config.ssl.targets = "background"
    config.ssl.ramp_start_share = 0.0
    config.ssl.ramp_share = 0.05
    config.ssl.judge_pseudo_labels = False
    config.logging.save_every = 1000
    return config
