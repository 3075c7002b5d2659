"""SOS on the telling phantom, small synthetic slides on which rules of switching can differ.

    python -m experiments.sos --config=configs/telling_sos.py --workdir=runs/telling_sos

Hardware: two CPU cores. Time: a method with an HRN trains for about 5 minutes of a core, a slide takes 0.05 s to make
and 0.02 s to classify at high resolution. Expected, of networks trained by cross-entropy alone on the seeds by which
the phantom was fitted: an LRN of 81 %, an HRN alone of 68, Multi-Scale 85. Its numbers are frozen (docs/science.md).
Everything here is our choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import phantom_sos


def get_config(_: str = "") -> ConfigDict:
    """The networks of the slide phantom on the slides of the other one, as many as LKS has to train on."""
    config = phantom_sos.get_config()
    config.steps = 1800
    data = config.data
    data.grid = 8
    data.patch_side = 32
    data.shrink = 8
    data.phantom = ConfigDict(dict(variant="telling", seed=2, train=479, test=3000, layouts=("tiles-none",)))
    data.manual_dir = "data/telling_lks/LKS"
    data.data_dir = "data/telling_lks/tfds"
    config.model.high_stem_block = 2  # folding 4 pixels hides a texture that has no mean in any box of 8
    config.optimiser.learning_rate = 4e-3
    config.batches.chunk = 64  # all of a slide's
    config.inference.patch_batch = 64  # all of a slide's
    return config
