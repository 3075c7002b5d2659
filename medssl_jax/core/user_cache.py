"""Where this package keeps for a user what can be made again."""

import os
from pathlib import Path


def programs_folder() -> Path:
    """Of compiled programs: below `XDG_CACHE_HOME`, or else `~/.cache`; it may be deleted at any time.

    Raises `RuntimeError` where the user has no home.
    """
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (told if told.is_absolute() else Path.home() / ".cache") / "medssl_jax" / "programs"
