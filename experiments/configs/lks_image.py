"""Image-Level on LKS: the LRN alone.

    python -m experiments.sos --config=configs/lks_image.py --workdir=runs/lks_image

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 81.95 %.
"""

from ml_collections import ConfigDict

from experiments.configs import sos


def get_config(_: str = "") -> ConfigDict:
    """No HRN: four low-resolution images fit in one step."""
    config = sos.get_config()
    config.batches.slides = 4
    config.method.use_high = False
    config.steps = 12_000
    config.optimiser.accumulate = 1
    config.method.name = "Image-Level"
    config.inference.rule = "low"
    return config
