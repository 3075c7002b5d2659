"""A config leads to the job that it is for, and a job's files are those that it writes."""

import jax
import ml_collections
import pytest

from experiments.configs import phantom, phantom_sos
from experiments.runs.jobs import JOBS, job_of
from medssl_jax.core.errors import InputError
from medssl_jax.train.run_record import SECTIONS


@pytest.mark.parametrize(("config", "command"), [(phantom, "experiments.focalmix"), (phantom_sos, "experiments.sos")])
def test_a_config_is_for_one_job(config, command):
    config = config.get_config()
    job = job_of(config)
    assert job.command == command
    job.check_config(config)
    assert job.sharding(config, jax.devices()).device_count == 1


def test_every_command_that_trains_has_a_job():
    assert JOBS.keys() == SECTIONS.keys()


def test_a_config_of_no_job():
    with pytest.raises(InputError, match="has no section anchors or method, so it is none of a training run"):
        job_of(ml_collections.ConfigDict({"data": {}}))
