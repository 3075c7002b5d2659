"""SIGTERM while nothing is to be saved, while a step is made, and while the last save is under way."""

import contextlib
import os
import signal
import subprocess
import sys
import time

from medssl_jax.train.preemption import Preempted, preemption_notice

# The main thread compiles for seconds, in which no Python handler runs.
COMPILING = """
import os, signal, threading
import jax, jax.numpy as jnp
from medssl_jax.train.preemption import leave_when_told, preemption_notice

def slow(x):
    for _ in range(3000):
        x = jnp.sin(x) @ x
    return x

leave_when_told()
traced = jax.jit(slow).lower(jnp.ones((4, 4)))
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
with preemption_notice() as must_stop:
    traced.compile()
    print("compiled")
    must_stop(1)
"""
WRITING = """
import os, signal, sys, time
from medssl_jax.core.atomic import atomic_path
from medssl_jax.train.preemption import leave_when_told

leave_when_told()
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
STEPS = """
import os, signal, time
from medssl_jax.train.preemption import leave_when_told, preemption_notice

leave_when_told()
with preemption_notice() as must_stop:
    assert not must_stop(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep({pause})
    print("told", must_stop(2))
print("on", flush=True)
time.sleep(60)
"""


def run(script, *arguments):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    since = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert time.monotonic() - since < 50
    return done


def test_while_it_compiles_it_ends_at_once():
    done = run(COMPILING)
    assert done.returncode == 75, done.stderr
    assert done.stderr.endswith("stopped by SIGTERM: what is finished is kept, start it again to go on\n")
    assert "compiled" not in done.stdout


def test_what_is_being_written_goes_with_it(tmp_path):
    done = run(WRITING, str(tmp_path / "file"))
    assert done.returncode == 130, done.stderr
    assert done.stderr == "stopped by Ctrl-C: what is finished is kept, start it again to go on\n"
    assert list(tmp_path.iterdir()) == []


def test_between_steps_the_next_one_is_told_and_what_goes_on_regardless_is_ended():
    done = run(STEPS.format(pause=1.0))
    assert done.returncode == 75, done.stderr
    assert "told True" in done.stdout
    assert "what is finished is kept" in done.stderr


def test_ctrl_c_that_comes_when_all_is_done_changes_nothing():
    """While modules are torn down no code of ours could say a line, and Python ended by the signal, without one."""
    done = run(
        "import os, signal\n"
        "from medssl_jax.train.preemption import leave_when_told\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.SIGINT):\n"
        "        kill(own, number)\n"
        "leave_when_told()\n"
        "last = Last()\n"
        "print('done')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_notice_that_nothing_was_stopped_for_is_passed_on():
    passed_on = []
    before = signal.signal(signal.SIGTERM, lambda *_: passed_on.append(True))
    try:
        with contextlib.suppress(Preempted), preemption_notice() as must_stop:
            signal.raise_signal(signal.SIGTERM)
            assert must_stop(1)
            raise Preempted
        assert not passed_on
        with preemption_notice() as must_stop:
            assert not must_stop(1)
            signal.raise_signal(signal.SIGTERM)
        assert passed_on == [True]
    finally:
        signal.signal(signal.SIGTERM, before)
