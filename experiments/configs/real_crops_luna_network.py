"""`real_crops.py` with LUNA16's network at patches of 32 mm, so that nothing found with the small one is its artefact.

    python -m experiments.focalmix --config=configs/real_crops_luna_network.py --workdir=runs/real_crops_luna_network \\
        --config.data.manual_dir=DIR

Hardware: two CPU cores, for many hours; a GPU for less. Time: not measured here. Everything here is our choice (o).
"""

from ml_collections import ConfigDict

from experiments.configs import focalmix, real_crops


def get_config(_: str = "") -> ConfigDict:
    """The parent with the model of `focalmix.py`."""
    config = real_crops.get_config()
    config.model = focalmix.get_config().model
    return config
