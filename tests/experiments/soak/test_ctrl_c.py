"""Ctrl-C at random moments: one line, status 130, and what is started again ends in the bits of an undisturbed run."""

import os
import random
import signal
import time

import pytest

EARLIEST_SECONDS = 1.0  # Python itself starts and looks for our code
TOLD = (
    "stopped by Ctrl-C: what is finished is kept, start it again to go on\n",
    "stopped by Ctrl-C: nothing was begun\n",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "focalmix", "sos", "detect", "classify"])
def test_ctrl_c_at_random_moments(soak, name):
    """`MEDSSL_SOAK` moments, one from each equal part of the time that the command takes."""
    rng = random.Random(f"{name} {soak.times}")
    for number in range(soak.times):
        share = (number + rng.random()) / soak.times
        moment = EARLIEST_SECONDS + share * max(0, soak.seconds[name] - EARLIEST_SECONDS)
        folder = f"stopped/{name}{number}"
        process = soak.start(name, folder)
        time.sleep(moment)
        is_running = process.poll() is None
        if is_running:
            os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
        print(f"{name}: after {moment:.1f} of {soak.seconds[name]:.1f} s: status {process.returncode}")
        if process.returncode or is_running:
            assert (process.returncode, "Traceback" in told) in ((130, False), (0, False)), told
        if process.returncode:
            assert told.endswith(TOLD), told
            assert told.count("Ctrl-C") == 1
        again = soak.start(name, folder)
        _, told = again.communicate()
        assert again.returncode == 0, told
        soak.assert_same_bits(name, folder)
