"""What tests of commands share."""

from pathlib import Path

import pytest

SMALL_SOS = """
from experiments.configs import phantom_{method}


def get_config():
    config = phantom_{method}.get_config()
    for network in ("low", "high", "policy"):
        config.model[f"{{network}}_features"], config.model[f"{{network}}_blocks"] = (4, 8), (0, 1)
    config.update_from_flattened_dict(
        {{
            "steps": {steps},
            "data.grid": 4,
            "data.patch_side": 64,
            "data.phantom.train": 16,
            "data.phantom.test": 8,
            "batches.slides": 4,
            "logging.log_every": 2,
            "logging.save_every": 2,
        }}
    )
    return config
"""


@pytest.fixture(scope="session")
def write_small_sos():
    """Writes a config of SOS, or of a method it is compared with, whose run takes seconds."""

    def write(path, *, method="sos", steps=4):
        path.write_text(SMALL_SOS.format(method=method, steps=steps))

    return write


@pytest.fixture(scope="session")
def differences_of_runs():
    """Tells in what two finished runs of a config differ, by the names of what they left; None where in nothing."""
    # Not at the head of this file: tests of commands that need no JAX are not to wait for it.
    from experiments.runs.jobs import job_of
    from experiments.runs.reproduce import difference_of_files
    from medssl_jax.run_folder.load_run import load_run
    from medssl_jax.run_folder.tensor_hashes import FILE_NAME, tensor_hashes

    def differences(config, a, b):
        job = job_of(config)
        ours, theirs = (tensor_hashes(load_run(workdir, job.kind).state) for workdir in (a, b))
        state = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
        files = {FILE_NAME: Path.read_bytes, **job.files}
        return {"last checkpoint": sorted(state) or None} | {
            name: difference_of_files(a / name, b / name, part) for name, part in files.items()
        }

    return differences
