"""One entry for all commands: `medssl detect --input=SCAN` is `python -m experiments.detect --input=SCAN`."""

import ast
import difflib
import importlib.metadata
import runpy
import sys
from pathlib import Path

BAD_INPUT_STATUS = 2
STARTS = "command.run(main)"  # stands in a module that is a command


def commands() -> dict[str, str]:
    """What each command does, in one line, by its name as it is typed, such as `check-data`."""
    texts = {path.stem.replace("_", "-"): path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))}
    return {name: _purpose(text) for name, text in texts.items() if f"\n    {STARTS}\n" in text}


def main() -> None:
    """Runs the command that is named first as `python -m` would; its own flags follow.

    A name that no command has is told in one line, with exit status 2.
    """
    name, *_ = [*sys.argv[1:], ""]
    known = commands()
    if name.replace("_", "-") in known:
        del sys.argv[1]
        runpy.run_module(f"experiments.{name.replace('-', '_')}", run_name="__main__", alter_sys=True)
    elif name in ("--version", "-version"):
        print(f"medssl_jax {importlib.metadata.version('medssl-jax')}")
    elif name in ("--help", "-help", "-h"):
        print(_help(known))
    else:
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(known)}"
        print(f"error: medssl {name}: no such command; {hint}", file=sys.stderr)
        sys.exit(BAD_INPUT_STATUS)


def _purpose(text: str) -> str:
    """The first line of a module's docstring, without its command."""
    line = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return line.partition(": python -m ")[0].rstrip(".") + "."


def _help(known: dict[str, str]) -> str:
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in known.items()]
    return "\n".join(["medssl COMMAND --FLAG=VALUE; medssl COMMAND --help tells its flags.", "", *lines])
