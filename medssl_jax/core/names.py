"""Names that come from outside - series UIDs, file names - as printable text, and as safe file names.

An identifier in a file may hold anything: `../../x`, 300 characters, nothing at all. None becomes a path as it is.
"""

import hashlib
import re
from collections.abc import Sequence

# What keeps its name. Lower case only: many disks take `Scan` and `scan` for one. No dot at either end, no space.
READABLE = re.compile(r"[0-9a-z]([0-9a-z._-]{0,78}[0-9a-z_-])?")
HASH_DIGITS = 32
# Controls, which may end a line or steer a terminal, and surrogates, which stand for bytes that are no UTF-8.
UNPRINTABLE = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def file_name(identifier: str) -> str:
    """The name of a file or folder for an identifier: one of its own for each, on any disk, of at most 80 characters.

    What is `READABLE`, as a series UID is, is its own name. Of anything else the name is a part of it, for people, and
    a hash; no `READABLE` has its `~`.
    """
    if READABLE.fullmatch(identifier):
        return identifier
    legible = re.sub(r"[^0-9A-Za-z]+", "-", identifier)[:40].strip("-")
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    return f"{legible or 'name'}~{digest}"


def printable(text: str) -> str:
    """One line of text that UTF-8 can hold: `UNPRINTABLE` characters become escapes, as in `L\\xf6sche`."""
    return UNPRINTABLE.sub(lambda match: _escaped(match[0]), text)


def some(names: Sequence[str], separator: str = ", ", *, most: int = 5) -> str:
    """The first `most` of the names, and how many more there are: `a, b and 3 more`."""
    more = len(names) - most
    return separator.join(names[:most]) + (f"{separator.rstrip(', ')} and {more} more" if more > 0 else "")


def brief(value: object, *, most: int = 80) -> str:
    """A value as one line of text; the first `most` characters and how many there are, where it is longer."""
    text = printable(str(value))
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what Python makes of the byte 0x80 to 0xFF
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
