"""A cache of what was read from files, kept until they change.

Training asks at each start whether the scans are still the same; without this, every DICOM header and every mask would
be read again for it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data_builders.folder import VERSION
from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.checksums import sealed, unsealed


def remembered(
    index_dir: Path | None, question: str, files: Sequence[Path], read: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """`read()`, or what it gave the last time these files had these places, sizes and times of change.

    The answer must survive JSON. It lies in a file of its own in `index_dir`; None keeps nothing. An exception is not
    kept, and one that is damaged, or another's, is asked for anew.
    """
    if index_dir is None:
        return read()
    states = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    key = hashlib.sha256(repr((VERSION, question, states)).encode()).hexdigest()[:32]
    kept = index_dir / f"{key}.json"
    text = unsealed(kept.read_bytes()) if kept.is_file() else None
    if text and (found := json.loads(text))["key"] == key:
        return found["answer"]
    answer = read()
    with atomic_path(kept) as temporary:
        temporary.write_bytes(sealed(json.dumps({"key": key, "answer": answer})))
    return answer
