"""Says what of an installation works, what is missing and the line that mends it: python -m experiments.doctor.

It looks at the system, packages, free memory, devices (on which it computes a little), disk, locks and caches. Exit
status 0: all commands can run; 1: something keeps them from it.
"""

import sys
from collections.abc import Sequence

from etils import epy

from experiments import command

with epy.lazy_imports():
    from experiments.runs import doctor

BLOCKED_STATUS = 1


def main(_: Sequence[str]) -> None:
    """Prints each finding as it comes."""
    blocked = False
    for finding in doctor.findings():
        print(doctor.as_text(finding), flush=True)
        blocked |= finding.blocks
    print("\nSomething above keeps commands from running." if blocked else "\nReady.")
    sys.exit(BLOCKED_STATUS if blocked else 0)


if __name__ == "__main__":
    command.run(main)
