"""FocalMix on the phantom: the README's job. Figures of a synthetic data set, never to be set beside LUNA16's.

    python -m experiments.focalmix --config=configs/phantom.py --workdir=runs/phantom

Everything here is our choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import focalmix


def get_config(_: str = "") -> ConfigDict:
    """A small FPN, small patches and small chests, so that two CPU cores are enough."""
    config = focalmix.get_config()
    config.steps = 600

    config.data.phantom = ConfigDict(
        dict(seed=1, scans=100, chest_zyx_mm=(80.0, 112.0, 128.0), nodules_per_scan=3.0, share_without_nodules=0.2)
    )
    config.data.manual_dir = "data/phantom/LUNA16"
    config.data.data_dir = "data/phantom/tfds"
    config.data.cache_dir = "data/phantom/cache"

    config.split.train_subsets = (0, 1, 2, 3, 4, 5)
    config.split.test_subsets = (6, 7, 8, 9)
    config.split.labelled = 12
    config.split.unlabelled = 48

    config.patches.side = 48
    config.patches.labelled_batch = 2
    config.patches.unlabelled_batch = 2
    config.patches.jitter = 16
    config.patches.loader_threads = 2

    config.model.stem_features = 0
    config.model.features = (16, 32, 48, 64)
    config.model.blocks = (1, 1, 1, 1)
    config.model.pyramid_features = 32
    config.model.head_depth = 1
    config.model.remat = False

    config.inference.overlap = 16
    config.logging.save_every = 200
    return config
