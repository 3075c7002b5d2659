"""A config leads to the job that it is for, and a job's files are those that it writes."""

import jax
import ml_collections
import pytest

from experiments.configs import phantom, phantom_sos
from experiments.runs.jobs import job_of
from medssl_jax.core.errors import InputError


@pytest.mark.parametrize(("config", "command"), [(phantom, "experiments.focalmix"), (phantom_sos, "experiments.sos")])
def test_a_config_is_for_one_job(config, command):
    config = config.get_config()
    job = job_of(config)
    assert job.command == command
    assert job.sharding(job.settings(config), jax.devices()).device_count == 1


@pytest.mark.parametrize(
    ("content", "found"), [({"data": {}}, "absent"), ({"command": "experiments.prepare"}, "'experiments.prepare'")]
)
def test_a_config_of_no_job(content, found):
    with pytest.raises(InputError, match=f"command is {found}, expected experiments.focalmix or experiments.sos: give"):
        job_of(ml_collections.ConfigDict(content))
