"""Compiled programs, kept in the user's cache folder from one start to the next.

JAX finds a program again by its code, jaxlib, XLA's flags and the devices, of a CPU its instructions. What else a
compiler goes by names the folder, so that no program of another processor, thread count or version is ever taken.
"""

import hashlib
import json
import sys
from contextlib import suppress
from pathlib import Path

import jax

from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.user_cache import programs_folder
from medssl_jax.run_folder.environment import compiled_for

# Settings of JAX.
FOLDER = "jax_compilation_cache_dir"
ENABLED = "jax_enable_compilation_cache"
SHORTEST = "jax_persistent_cache_min_compile_time_secs"

MIN_COMPILE_SECONDS = 0.1
MAX_BYTES = 2 << 30


def keep_programs() -> None:
    """Makes JAX keep what it compiles from here on, and take it from there at the next start.

    `JAX_COMPILATION_CACHE_DIR` and `JAX_ENABLE_COMPILATION_CACHE` come first. Where the user's cache folder cannot be
    written, a warning says so and nothing is kept.
    """
    if getattr(jax.config, FOLDER) is not None or not getattr(jax.config, ENABLED):
        return
    name = hashlib.sha256(json.dumps(compiled_for(), sort_keys=True).encode()).hexdigest()[:16]
    try:
        programs = programs_folder()
        folder = writable_directory(programs / name)
    except (InputError, RuntimeError) as error:
        told = f"compiled programs are not kept for the next start: {error}; XDG_CACHE_HOME says where"
        print(f"warning: {told}", file=sys.stderr, flush=True)
        return
    make_room(programs, MAX_BYTES)
    jax.config.update(FOLDER, str(folder))
    jax.config.update(SHORTEST, MIN_COMPILE_SECONDS)


def make_room(folder: Path, max_bytes: int) -> None:
    """Removes the files below `folder` that were longest unused, until the rest takes `max_bytes` or less.

    Another process may read or remove them meanwhile. JAX itself bounds its cache only where `filelock` is installed.
    """
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                status = path.stat()
                found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= max_bytes:
            return
        with suppress(OSError):
            path.unlink()
        total -= size
