"""The one exception that is meant for a person to read."""


class InputError(Exception):
    """What the user gave cannot be used; the message is one line.

    It names the file or field, what was found, what was expected and what to do. The commands print it
    without a traceback and exit with status 2; everything else that is raised is a bug of ours.
    """
