"""What the environment tells of other processes, and what a lone process makes of it."""

import os
import socket
import subprocess
import sys

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.parallel import hosts

ALL = {"JAX_COORDINATOR_ADDRESS": "localhost:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}


def test_all_three_are_told():
    assert hosts._addressed(ALL) == {"coordinator_address": "localhost:1234", "num_processes": 2, "process_id": 1}


@pytest.mark.parametrize("environment", [{}, {"JAX_COORDINATOR_ADDRESS": "localhost:1234"}, {"JAX_PROCESS_ID": ""}])
def test_nothing_is_told(environment):
    assert hosts._addressed(environment) == {}


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
        hosts._addressed(ALL | change)


def test_a_lone_process_gathers_its_own(capsys):
    assert hosts.gather({"a": [0.1, 1e-300], "b": "c"}) == [{"a": [0.1, 1e-300], "b": "c"}]
    assert hosts.own_share([1, 2, 3]) == [1, 2, 3]
    hosts.say("once")
    assert capsys.readouterr().out == "once\n"


# What each engine sets for its processes, as JAX reads it.
ENGINES = {
    "slurm": lambda index, port: {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
        "SLURM_STEP_NUM_NODES": "1",
        "JAX_COORDINATOR_PORT": str(port),
    },
    "open mpi": lambda index, port: {
        "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://127.0.0.1:43911",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(index),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(index),
        "JAX_COORDINATOR_PORT": str(port),
    },
    "by hand": lambda index, port: {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": str(index),
    },
}
MEET = """
from medssl_jax.parallel import hosts
import jax
hosts.connect()
print(jax.process_index(), hosts.count(), hosts.own_share("abcde"), hosts.gather([jax.process_index()] * 2))
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_of_an_engine_find_each_other(engine):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MEET],
            env=os.environ | ENGINES[engine](index, port) | {"JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    answers = [out.strip().splitlines()[-1] for out, _ in said]
    assert answers == ["0 2 ['a', 'c', 'e'] [[0, 0], [1, 1]]", "1 2 ['b', 'd'] [[0, 0], [1, 1]]"]
