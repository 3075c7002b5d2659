"""How every command starts: flags parsed strictly, an `InputError` shown as one line, exit status 2."""

import sys
from collections.abc import Callable, Sequence

from absl import app

from medssl_jax.errors import InputError

BAD_INPUT_STATUS = 2


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Parses flags and runs `main(argv)`; an `InputError` becomes one line on stderr and exit status 2."""

    def guarded(argv: Sequence[str]) -> None:
        if len(argv) > 1:
            fail(f"unexpected argument {argv[1]!r}: every option is given as --name=value, see --help")
        try:
            main(argv)
        except InputError as error:
            fail(str(error))

    app.run(guarded)


def fail(message: str) -> None:
    """Prints `message` as the one line a user sees and exits with status 2."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(BAD_INPUT_STATUS)
