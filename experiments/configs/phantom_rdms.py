"""RDMS: Multi-Scale with a policy network that decides from the low-resolution image: the slide phantom.

    python -m experiments.sos --config=configs/phantom_rdms.py --workdir=runs/phantom_rdms

As it stands asking is free. With `--config.method.reward=correct --config.batches.held_out=2` it is paid by right
answers on slides held out, with `--config.method.even_weight=0.1` it does not get stuck where it asks always or never,
and with `--config.method.budget=0.2 --config.method.budget_rate=0.002` asking costs more as long as it asks about more
than one slide in five; after the last step its policy is moved to where it asks about one in five validation slides.

Hardware: two CPU cores. Everything here is our choice (o): the paper has no phantom.
"""

from ml_collections import ConfigDict

from experiments.configs import _methods, phantom_sos


def get_config(_: str = "") -> ConfigDict:
    """The same slides, networks and steps."""
    return _methods.rdms(phantom_sos.get_config())
