"""A signal at random moments: what is started again ends in the bits of a command that was left alone.

Moments are drawn evenly over the time that the command takes once Python has come to it.
"""

import os
import random
import re
import signal
import subprocess
import time

import pytest

from medssl_jax.train.preemption import PREEMPTED_STATUS

TOLD = (
    "stopped by Ctrl-C: what is finished is kept, start it again to go on",
    "stopped by Ctrl-C: nothing was begun",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "focalmix", "sos", "detect", "classify"])
def test_ctrl_c_at_random_moments(soak, name):
    """`MEDSSL_SOAK` times, each in another folder: one line and status 130."""
    rng = random.Random(name)
    for number in range(soak.times):
        moment, folder = rng.uniform(soak.earliest_seconds, soak.seconds(name)), f"stopped/{name}{number}"
        with soak.start(name, folder) as process:
            time.sleep(moment)
            since = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            _, told = process.communicate()
        print(
            f"{name} after {moment:.1f} of {soak.seconds(name):.1f} s: status {process.returncode}, {soak.said(told)}"
        )
        if process.returncode == 130:
            assert soak.said(told) in ([line] for line in TOLD)
        else:  # Python had not come to our code yet, or all was done
            assert process.returncode in (-signal.SIGINT, 0)
            assert not soak.said(told)
            assert time.monotonic() - since < max(5, soak.seconds(name) / 3)
        soak.run(name, folder)
        soak.assert_same_bits(name, folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("name", ["focalmix", "sos"])
def test_one_run_killed_again_and_again(soak, name, number):
    """`MEDSSL_SOAK` times, in one folder until the run in it has ended; told by SIGTERM, a run is saved first."""
    rng = random.Random(f"{name} {number}")
    met, starts, folder = 0, 0, f"killed/{name}{number}"
    while met < soak.times:
        moment, starts = rng.uniform(soak.earliest_seconds, soak.seconds(name)), starts + 1
        with soak.start(name, folder) as process:
            try:
                process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, number)
            since = time.monotonic()
            said, told = process.communicate()
        trained = re.findall(r"^(?:resumed at )?step (\d+)(?:/| of )8", said, re.MULTILINE)
        print(f"{name} after {moment:.1f} s, step {trained[-1:]}: status {process.returncode}")
        if process.returncode == 0:  # it had ended
            soak.assert_same_end(name, folder)
            folder = f"killed/{name}{number}_{starts}"
            continue
        met += 1
        if number == signal.SIGKILL:
            assert process.returncode == -number
        else:  # before Python listens, and when it does no more, there is nothing to save
            assert process.returncode in (PREEMPTED_STATUS, -number), told
            assert process.returncode == PREEMPTED_STATUS or trained[-1:] in ([], ["8"])
            assert time.monotonic() - since < 60  # 10 on a machine of one's own
    with soak.start(name, folder) as process:
        _, told = process.communicate()
    assert process.returncode == 0, told
    soak.assert_same_end(name, folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["focalmix", "sos"])
def test_a_cache_of_compiled_functions_changes_no_bit(soak, name):
    soak.seconds(name)
    soak.assert_same_end(name, f"first/{name}")  # which filled it
