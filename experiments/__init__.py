"""Commands: `python -m experiments.NAME`. Ctrl-C while a command is still being imported ends it with one line too."""

import os
import sys


def _show(kind, error, traceback):
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print("stopped by Ctrl-C: nothing was begun", file=sys.stderr, flush=True)
    os._exit(130)


# Before jaxlib is loaded, which else tells of slow compilations in a dozen lines. Its errors come as exceptions too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if "-m" in sys.orig_argv:
    sys.excepthook = _show
