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
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    listed = "expected a benchmark:" + "".join(f"\n  {each:<16} {about}" for each, about in BENCHMARKS.items())
    if name.startswith("-"):  # --help and --version are those of every command
        command.run(lambda argv: command.fail(listed))
    if name not in BENCHMARKS:
        command.fail(f"found {name!r}, {listed}" if name else listed)
    command.run(importlib.import_module(f"experiments.benchmarks.{sys.argv.pop(1)}").main)
