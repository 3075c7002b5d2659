"""Damage by whole blocks, as a disk or a broken copy does it: every block is intact, which no flipped bit leaves it."""

import random
from pathlib import Path

BLOCK_BYTES = (65536, 65536, 4096)  # ArrayRecord's (its Riegeli's) twice as often as a file system's
WAYS = ("dropped", "dropped to", "doubled", "exchanged with", "overwritten by", "zeroed", "the first that is cut off")


def damage_blocks(path: Path, rng: random.Random) -> str:
    """Damages a file in place by whole blocks; says what was done."""
    data = path.read_bytes()
    size, way = rng.choice(BLOCK_BYTES), rng.choice(WAYS)
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    one, other = (rng.randrange(len(blocks)) for _ in range(2))
    changed = damaged_blocks(blocks, way, one, other)
    path.write_bytes(b"".join(changed))
    return f"{path.name}: of {len(blocks)} blocks of {size} bytes {one} was {way} ({other})"


def damaged_blocks(blocks: list[bytes], way: str, one: int, other: int) -> list[bytes]:
    """The blocks after damage in one of `WAYS` to the block `one`, and to `other` where it takes two."""
    first, last = sorted((one, other))
    return {
        "dropped": blocks[:one] + blocks[one + 1 :],
        "dropped to": blocks[:first] + blocks[last + 1 :],
        "doubled": blocks[: one + 1] + blocks[one:],
        "exchanged with": _with(_with(blocks, one, blocks[other]), other, blocks[one]),
        "overwritten by": _with(blocks, one, blocks[other]),
        "zeroed": _with(blocks, one, bytes(len(blocks[one]))),
        "the first that is cut off": blocks[:one],
    }[way]


def _with(blocks, place, replacement):
    return [*blocks[:place], replacement, *blocks[place + 1 :]]
