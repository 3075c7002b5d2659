"""Some hundred mutated inputs of all kinds, and a reader that has every fault, which the fuzzer must find."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.campaign import fault_line, outcomes, shares
from tests.fuzz.kinds import faulty
from tests.fuzz.trial import FAULTS, KINDS

INPUTS = 600
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_refused_in_one_line_or_read_right(kind, record_property):
    found = list(outcomes({kind: shares(INPUTS)[kind]}, workers=1))
    record_property("fuzzed inputs", len(found))
    faults = [fault_line(outcome) for outcome in found if outcome.verdict in FAULTS]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
def test_every_fault_is_found():
    found = list(outcomes({"faulty": range(40)}, workers=1))
    verdict_of = {outcome.mutation.removeprefix("sound: "): outcome.verdict for outcome in found}
    assert verdict_of == faulty.VERDICTS


@pytest.mark.slow
def test_an_input_is_shown_again():
    (first,) = outcomes({"csv": range(3, 4)}, workers=1)
    command = [sys.executable, "-m", "tests.fuzz", "--kind=csv", "--seed=3"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"mutation: {first.mutation}\nverdict: {first.verdict}\n" in said.stdout
    assert said.returncode == int(first.verdict in FAULTS)
