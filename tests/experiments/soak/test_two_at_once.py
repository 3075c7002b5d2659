"""Two runs started together in one workdir: one is refused in one line, the other ends as if it had been alone."""

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["focalmix", "sos"])
def test_one_of_two_is_refused(soak, name):
    """`MEDSSL_SOAK` times."""
    soak.seconds(name)
    for number in range(soak.times):
        folder = f"shared/{name}{number}"
        both = [soak.start(name, folder) for _ in range(2)]
        told = {process.pid: soak.said(process.communicate()[1]) for process in both}
        alone, refused = sorted(both, key=lambda process: process.returncode)
        assert (alone.returncode, refused.returncode) == (0, 2), told
        assert told[alone.pid] == []
        (line,) = told[refused.pid]
        assert line.startswith(f"error: {folder}: process {alone.pid} on ")
        assert line.endswith("is running in it: wait until it has ended, or choose another folder")
        soak.assert_same_bits(name, folder)
