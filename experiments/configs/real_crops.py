"""FocalMix on crops of real nodules: 10 labelled, every other one of the training subsets unlabelled.

    python -m experiments.focalmix --config=configs/real_crops.py --workdir=runs/real_crops \\
        --config.data.manual_dir=DIR

DIR is in LUNA16's layout (data_builders/luna16/README.md), each cube of 44 mm a scan of its own: `subsetN/*.mhd`,
masks, `annotations.csv`, `annotations_excluded.csv`, `seriesuids.csv`, and `patients.csv`, which keeps a patient's
crops on one side of the split. The phantom's network, patches and losses. A crop holds a nodule near its middle and is
a fiftieth of a chest: these figures bound nothing on whole scans and never stand beside LUNA16's.

Hardware: two CPU cores. Time: not measured here. Expected: nothing is promised; FocalMix lost to its supervised twin in
trials. Everything here is our choice (o): the paper has no crops.
"""

from ml_collections import ConfigDict

from experiments.configs import phantom


def get_config(_: str = "") -> ConfigDict:
    """The phantom's recipe on real crops."""
    config = phantom.get_config()
    config.steps = 1500
    del config.data.phantom
    config.data.manual_dir = "data/real_crops"
    config.data.data_dir = "data/real_crops/tfds"
    config.data.cache_dir = "data/real_crops/cache"
    config.data.allow_absent = True  # whole subsets are kept elsewhere

    config.split.train_subsets = (0, 1, 2, 3, 4)
    config.split.test_subsets = (5, 9)
    config.split.labelled = 10
    config.split.unlabelled = -1

    # Stated before any comparison. A crop is .085 litres: LUNA16's 1/8 to 8 a chest would be some 1/400 to 1/6 a crop
    # by volume, of which 140 crops cannot measure the lower half. At 1/64 they have two false positives, at 1 about
    # as many as nodules: seven rates by twos, as LUNA16's.
    config.score.fps_per_scan = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)

    config.logging.log_every = 100
    config.logging.save_every = 500
    return config
