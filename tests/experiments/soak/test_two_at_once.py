"""Two runs started together in one workdir: one is refused in one line, the other ends as if it had been alone."""

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["focalmix", "sos"])
def test_one_of_two_is_refused(soak, name):
    """`MEDSSL_SOAK` times."""
    for number in range(soak.times):
        folder = f"shared/{name}{number}"
        both = [soak.start(name, folder) for _ in range(2)]
        told = {process: process.communicate()[1] for process in both}
        refused, alone = sorted(both, key=lambda process: -process.returncode)
        assert (refused.returncode, alone.returncode) == (2, 0), told
        (error,) = [line for line in told[refused].splitlines() if line.startswith("error: ")]
        assert f"process {alone.pid} on " in error
        assert "is running in it" in error
        assert "Traceback" not in told[refused]
        soak.assert_same_bits(name, folder)
