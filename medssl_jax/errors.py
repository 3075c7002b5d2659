"""The one exception that is meant for a person to read."""

from medssl_jax.names import printable


class InputError(Exception):
    """What the user gave cannot be used; the message is one line.

    It names the file or field, what was found, what was expected and what to do. The commands print it
    without a traceback and exit with status 2; everything else that is raised is a bug of ours.
    """

    def __init__(self, message: str):
        # What it names may be a file's name or a cell, and those may hold line ends and bytes that are no text.
        super().__init__(printable(message))
