"""One entry for all commands: `medssl detect --input=SCAN` is `python -m experiments.detect --input=SCAN`."""

import ast
import difflib
import importlib.metadata
import runpy
import sys
from pathlib import Path
from typing import NoReturn

from experiments import completion

BAD_INPUT_STATUS = 2
OURS = ("experiments", "medssl_jax", "data_builders")
OPTIONS = (
    "  --help        this page",
    "  --version     the version of medssl_jax",
    '  --completion  what a shell evaluates to complete commands and flags: eval "$(medssl --completion)"',
)
STARTS = "command.run(main)"  # stands in a module that is a command


def commands() -> dict[str, str]:
    """What each command does, in one line, by its name as it is typed, such as `check-data`."""
    texts = {path.stem.replace("_", "-"): path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))}
    return {name: _purpose(text) for name, text in texts.items() if f"\n    {STARTS}\n" in text}


def main() -> None:
    """Runs the command that is named first as `python -m` would; its own flags follow.

    A name that no command has, and a package that is not installed, are told in one line, with exit status 2; no name
    at all by the page of help, with the same status.
    """
    known = commands()
    if not sys.argv[1:]:
        print(_help(known), file=sys.stderr)
        sys.exit(BAD_INPUT_STATUS)
    name = sys.argv[1]
    if name.replace("_", "-") in known:
        del sys.argv[1]
        try:
            runpy.run_module(f"experiments.{name.replace('-', '_')}", run_name="__main__", alter_sys=True)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in OURS:
                raise
            _fail(f"medssl {name}: {missing} is not installed: install medssl_jax again, with all that it needs")
    elif name in ("--version", "-version"):
        print(f"medssl_jax {importlib.metadata.version('medssl-jax')}")
    elif name in ("--completion", "-completion"):
        print(completion.script(known, Path(__file__).parent / "configs"), end="")
    elif name in ("--help", "-help", "-h"):
        print(_help(known))
    else:
        is_option = name.startswith("-")
        there_are = [line.split()[0] for line in OPTIONS] if is_option else [*known]
        nearest = difflib.get_close_matches(name, there_are, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(there_are)}"
        _fail(f"medssl {name}: no such {'option' if is_option else 'command'}; {hint}")


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT_STATUS)


def _purpose(text: str) -> str:
    """The first line of a module's docstring, without its command."""
    line = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return line.partition(": python -m ")[0].rstrip(".") + "."


def _help(known: dict[str, str]) -> str:
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in known.items()]
    return "\n".join(["medssl COMMAND --FLAG=VALUE; medssl COMMAND --help tells its flags.", "", *lines, "", *OPTIONS])
