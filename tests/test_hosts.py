"""What the environment tells of other processes, and what a lone process makes of it."""

import pytest

from medssl_jax import hosts
from medssl_jax.errors import InputError

ALL = {"JAX_COORDINATOR_ADDRESS": "localhost:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}


def test_all_three_are_told():
    assert hosts._told(ALL) == {"coordinator_address": "localhost:1234", "num_processes": 2, "process_id": 1}


@pytest.mark.parametrize("environment", [{}, {"JAX_COORDINATOR_ADDRESS": "localhost:1234"}, {"JAX_PROCESS_ID": ""}])
def test_nothing_is_told(environment):
    assert hosts._told(environment) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"JAX_PROCESS_ID": ""}, "JAX_PROCESS_ID is not set, expected it beside JAX_COORDINATOR_ADDRESS, JAX_NUM_PRO"),
        ({"JAX_PROCESS_ID": "first"}, "JAX_PROCESS_ID is 'first', expected a number"),
        ({"JAX_PROCESS_ID": "2"}, r"JAX_PROCESS_ID is 2, expected less than JAX_NUM_PROCESSES \(2\)"),
    ],
)
def test_what_does_not_fit_together(change, message):
    with pytest.raises(InputError, match=message):
        hosts._told(ALL | change)


def test_a_lone_process_gathers_its_own(capsys):
    assert hosts.gather({"a": [0.1, 1e-300], "b": "c"}) == [{"a": [0.1, 1e-300], "b": "c"}]
    assert hosts.own_share([1, 2, 3]) == [1, 2, 3]
    hosts.say("once")
    assert capsys.readouterr().out == "once\n"
