"""Ctrl-C at random moments: one line, status 130, and what is started again ends in the bits of an undisturbed run."""

import os
import random
import signal
import time

import pytest

TOLD = (
    "stopped by Ctrl-C: what is finished is kept, start it again to go on",
    "stopped by Ctrl-C: nothing was begun",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "focalmix", "sos", "detect", "classify"])
def test_ctrl_c_at_random_moments(soak, name):
    """`MEDSSL_SOAK` moments, drawn evenly over the time that the command takes once Python has come to it."""
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
