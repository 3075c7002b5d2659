"""The one exception that is meant for a person to read."""

import re

from medssl_jax.core.names import printable

LONGEST_WORD, KEPT_OF_WORD = 400, 100  # characters; of a longer one, which is no path, both ends are kept


class InputError(Exception):
    """An error in what the user gave; the message is one line.

    It names the file or field, what was found, what was expected and what to do. The commands print it
    without a traceback and exit with status 2; everything else that is raised is a bug of ours.
    """

    def __init__(self, message: str):
        # What it names may be a file's name or a cell, and those may hold line ends, bytes that are no text, or a
        # thousand digits.
        super().__init__(re.sub(rf"\S{{{LONGEST_WORD + 1},}}", _ends, printable(message)))


def _ends(match: re.Match[str]) -> str:
    word = match[0]
    return f"{word[:KEPT_OF_WORD]}[{len(word) - 2 * KEPT_OF_WORD} more]{word[-KEPT_OF_WORD:]}"
