"""SOS by networks that are compiled in no time."""

import pytest

SMALL = """
from experiments.configs import sos

def get_config():
    config = sos.get_config()
    config.model.attention_features = 3
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4,), (0,)
    config.model.low_stem_block = config.model.high_stem_block = 4
    config.inference.patch_batch = 5
    return config
"""


@pytest.fixture(scope="session")
def small_networks(tmp_path_factory):
    """The file of a config."""
    path = tmp_path_factory.mktemp("small_networks") / "small.py"
    path.write_text(SMALL)
    return str(path)
