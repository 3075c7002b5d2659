"""Image-Level on LKS: the LRN alone.

    python -m experiments.sos --config=configs/lks_image.py --workdir=runs/lks_image

Hardware: meant for one GPU of 80 GB. Time: not measured, LKS could not be fetched where this was written.
The paper's accuracy (table 3) is 81.95 %.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, sos


def get_config(_: str = "") -> ConfigDict:
    """Slides are small enough for batches without accumulation."""
    config = _methods.image_level(sos.get_config())
    config.steps = 3_000
    config.batches.slides = 4
    config.optimiser.accumulate = 1
    return config
