"""Plain names of results, one for each scan, and the shard of a job array that a scan falls to."""

import collections
import hashlib
import re
from collections.abc import Sequence

from medssl_jax.core.errors import InputError

LONGEST = 60  # characters before what tells scans of one name apart
HASH_DIGITS = 12


def result_names(wishes: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """The name of each scan's results: its wish in lower-case letters, digits, `.`, `_` and `-`, on any disk its own.

    Scans whose names would be one have a hash of their key, which no two share, behind it. So a name depends on no
    scan that has another.
    """
    plain = [_plain(wish) for wish in wishes]
    counts = collections.Counter(plain)
    return tuple(
        name if counts[name] == 1 else f"{name}-{hashlib.sha256(_bytes(key)).hexdigest()[:HASH_DIGITS]}"
        for name, key in zip(plain, keys, strict=True)
    )


def parse_shard(text: str) -> tuple[int, int]:
    """`K/N` as (K, N), K from 1 to N. Raises `InputError` for anything else."""
    match = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", text)
    shard, shards = map(int, match.groups()) if match else (0, 0)
    if not 1 <= shard <= shards:
        raise InputError(f"--shard: found {text!r}, expected K/N with K from 1 to N, such as 1/8: correct it")
    return shard, shards


def in_shard(key: str, shard: int, shards: int) -> bool:
    """True in one of the `shards`, counted from 1, for each key; which one, only key and number of shards decide."""
    return int.from_bytes(hashlib.sha256(_bytes(key)).digest()) % shards == shard - 1


def _plain(wish: str) -> str:
    return re.sub(r"[^0-9a-z._]+", "-", wish.lower()).strip("-._")[:LONGEST].rstrip("-._") or "scan"


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
