"""Commands: `python -m experiments.NAME`. Ctrl-C while a command is still being imported ends it with one line too."""

import os
import signal
import sys


def _leave(*_: object) -> None:
    # Not by an exception: one that comes into a callback of the interpreter or of JAX is printed there and lost.
    print("stopped by Ctrl-C: nothing was begun", file=sys.stderr, flush=True)
    os._exit(130)


# Before jaxlib is loaded, which else tells of slow compilations in a dozen lines. Its errors come as exceptions too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if f" -m {__name__}." in " ".join(sys.orig_argv):  # and not pytest
    signal.signal(signal.SIGINT, _leave)
