"""Image-Level: the LRN alone, on the slide phantom; all else as `phantom_sos.py`.

    python -m experiments.sos --config=configs/phantom_image.py --workdir=runs/phantom_image

Hardware: two CPU cores. Everything here is our choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, phantom_sos


def get_config(_: str = "") -> ConfigDict:
    """The same slides, networks and steps."""
    return _methods.image_level(phantom_sos.get_config())
