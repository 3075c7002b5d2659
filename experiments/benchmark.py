"""Speed and memory, measured and printed as a table.

    python -m experiments.benchmark                # which there are
    python -m experiments.benchmark crops --help   # what one measures, and its flags

Machines differ and are shared: compare figures of one run, not of two.
"""

import ast
import importlib
import sys
from pathlib import Path

from experiments import command

BENCHMARKS = {
    path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    for path in sorted((Path(__file__).parent / "benchmarks").glob("[!_]*.py"))
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        found = f"found {sys.argv[1]!r}, " if len(sys.argv) > 1 else ""
        listed = "".join(f"\n  {name:<16} {about}" for name, about in BENCHMARKS.items())
        command.fail(f"{found}expected a benchmark:{listed}")
    command.run(importlib.import_module(f"experiments.benchmarks.{sys.argv.pop(1)}").main)
