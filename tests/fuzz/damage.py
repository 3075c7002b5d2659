"""Damage to bytes and text that knows nothing of a format, and the values that formats are tried with."""

import json
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HEAD_BYTES = 400  # where headers are: half of all damage goes there
EXTREME_INTEGERS = (0, 1, -1, 2, 7, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, 10**18)
EXTREME_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))
NUMBER_TEXTS = (
    *("0", "-0", "1", "-1", "2", "+3", "0.5", "1e3", "1e-300", "1e400", "-1e400", "nan", "NaN", "inf", "-Infinity"),
    *(
        "1_0",
        "0x10",
        "1,5",
        "1.2.3",
        "1e",
        "--1",
        "",
        " ",
        "٣",
        "\uff11\uff12",
        "²",
        "½",
        "1\u00a0",
        "True",
        "None",
        "null",
    ),
    *(
        "9" * 30,
        "9" * 1000,
        "7" * 5000,
        "0." + "1" * 1000,
        "-" + "9" * 400,
        "1" + "0" * 308,
        "4294967296",
        "18446744073709551617",
    ),
)
NASTY_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\t",
        "x",
        "A" * 300,
        "B" * 5000,
        "../../../evil",
        "/etc/passwd",
        "..",
        ".",
        ".lock",
        "~",
        "C:\\x",
    ),
    *(
        "Lösche",
        "雪",
        "\u202e",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "a\nb",
        "a\rb",
        "\x1b[31m",
    ),
    *("=1+1", "+1", "@x", '"', "'", ",", ";", "%s%n", "{}", "${HOME}", "<b>x</b>", "-1", "0", "nan", "1e999", "null"),
)


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """`data` with one to three places damaged, and what was done, in words."""
    told = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name, damage = rng.choice(tuple(BYTE_DAMAGES.items()))
        start = _position(data, rng)
        data = damage(data, start, rng)
        told.append(f"{name} at {start}")
    return data, ", ".join(told)


def damage_file(path: Path, rng: random.Random) -> str:
    """Damages a file in place; says what was done."""
    data, told = damaged(path.read_bytes(), rng)
    path.write_bytes(data)
    return f"{path.name}: {told}"


def damage_one_of(paths: Sequence[Path], rng: random.Random) -> str:
    """Damages one of several files, or removes it, empties it, or puts another in its place."""
    path = rng.choice(paths)
    way = rng.choice(("bytes",) * 9 + ("remove", "empty", "swap"))
    if way == "bytes":
        return damage_file(path, rng)
    if way == "remove":
        path.unlink()
        return f"{path.name}: removed"
    if way == "empty":
        path.write_bytes(b"")
        return f"{path.name}: emptied"
    other = rng.choice(paths)
    path.write_bytes(other.read_bytes())
    return f"{path.name}: has the bytes of {other.name}"


def other_text(text: str, rng: random.Random) -> str:
    """Another text in its place: a nasty one, a number where none belongs, or the same with one character changed."""
    way = rng.randrange(4)
    if way == 0:
        return rng.choice(NASTY_TEXTS)
    if way == 1:
        return rng.choice(NUMBER_TEXTS)
    if way == 2:
        return text + rng.choice((*NASTY_TEXTS, *NUMBER_TEXTS))[:50]
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(("", "0", "9", ".", "-", "_", "é", " ", "\0", "x")) + text[place + 1 :]


def other_words(text: str, rng: random.Random) -> str:
    """A text of several words with one of them replaced, dropped or doubled; or all of it replaced."""
    words = text.split()
    if not words or rng.random() < 0.25:
        return other_text(text, rng)
    place = rng.randrange(len(words))
    way = rng.randrange(4)
    if way == 0:
        del words[place]
    elif way == 1:
        words.insert(place, words[place])
    elif way == 2:
        words[place] = rng.choice(NUMBER_TEXTS)
    else:
        words[place] = other_text(words[place], rng)
    return " ".join(words)


def damage_json(path: Path, rng: random.Random) -> str:
    """Changes one value of a JSON file, or its shape; says which."""
    if rng.random() < 0.03:
        path.write_text(rng.choice(("[" * 100_000, '{"a":' * 100_000, "9" * 5000, "[1e999, NaN]", "{} {}", "\ufeff{}")))
        return f"{path.name}: is {path.read_text()[:9]}..."
    changed, told = other_json(json.loads(path.read_text()), rng)
    path.write_text(json.dumps(changed, indent=1))
    return f"{path.name}: {told}"


def other_json(content: Any, rng: random.Random) -> tuple[Any, str]:
    """The content with one value at any depth replaced, dropped, doubled or renamed; and what was done, in words."""
    content = json.loads(json.dumps(content))
    places = list(_json_places(content, ()))
    path = rng.choice(places)
    if not path or rng.random() < 0.05:
        replacement = rng.choice(([1], 5, {}, {"a": 1}, [], None, "text", True))
        return replacement, f"all of it is {replacement!r}"
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    key, where = path[-1], ".".join(map(str, path))
    way = rng.randrange(5)
    if way == 0:
        del parent[key]
        return content, f"{where} dropped"
    if way == 1 and isinstance(parent, dict):
        parent[other_text(key, rng)] = parent.pop(key)
        return content, f"{where} renamed"
    if way == 1:
        parent.insert(key, parent[key])
        return content, f"{where} doubled"
    parent[key] = other_json_value(parent[key], rng)
    return content, f"{where} is {json.dumps(parent[key])[:60]}"


def other_json_value(value: Any, rng: random.Random) -> Any:
    """A value of the same type that is extreme, or of another type."""
    if rng.random() < 0.4:
        return rng.choice(
            (None, True, False, 0, -1, 1.5, 10**30, "", "text", [], [1], {}, {"a": 1}, [[]], float("nan"))
        )
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((*EXTREME_INTEGERS, value + 1, value - 1, 1.5, str(value)))
    if isinstance(value, float):
        return rng.choice((*EXTREME_FLOATS, value * 2, str(value)))
    if isinstance(value, str):
        return other_text(value, rng)
    if isinstance(value, list):
        return rng.choice((value[1:], value[::-1], value * 2, [*value, None], dict.fromkeys(map(str, value))))
    return rng.choice((list(value), {}, None) if isinstance(value, dict) else (0, "", "text", [], {}))


def _json_places(value, path):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from _json_places(each, (*path, key))


def _position(data, rng):
    return rng.randrange(min(HEAD_BYTES, len(data)) if rng.random() < 0.5 else len(data)) if data else 0


def _length(data, start, rng):
    return rng.choice((1, 2, 4, rng.randrange(1, 64), rng.randrange(1, max(2, len(data) - start))))


def _with(data, start, count, replacement):
    return data[:start] + replacement + data[start + count :]


def _flip(data, start, rng):
    return _with(data, start, 1, bytes(byte ^ 1 << rng.randrange(8) for byte in data[start : start + 1]))


def _set(data, start, rng):
    return _with(data, start, 1, bytes([rng.choice((0, 1, 9, 10, 13, 32, 45, 46, 48, 57, 127, 128, 255))]))


def _cut(data, start, rng):
    return _with(data, start, _length(data, start, rng), b"")


def _insert(data, start, rng):
    return _with(data, start, 0, rng.randbytes(_length(data, 0, rng) % 300))


def _repeat(data, start, rng):
    piece = data[start : start + _length(data, start, rng)]
    return _with(data, start, 0, piece * rng.choice((1, 1, 2, 30)))


def _swap(data, start, rng):
    other, count = _position(data, rng), rng.randrange(1, 64)
    start, other = sorted((start, other))
    count = min(count, other - start)
    piece, further = data[start : start + count], data[other : other + count]
    return _with(_with(data, start, count, further), other, count, piece)


def _zero(data, start, rng):
    count = min(_length(data, start, rng), len(data) - start)
    return _with(data, start, count, bytes(count))


def _truncate(data, start, rng):
    return data[: rng.choice((start, len(data) // 2, len(data) - 1, max(0, len(data) - rng.randrange(1, 100))))]


def _append(data, start, rng):
    del start
    return data + rng.choice((b"\0", b"\0" * 512, rng.randbytes(20), data[-100:]))


def _integer(data, start, rng):
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    return _with(data, start, size, (rng.choice(EXTREME_INTEGERS) % 2 ** (8 * size)).to_bytes(size, order))


def _float(data, start, rng):
    code = rng.choice(("<f", ">f", "<d", ">d"))
    value = rng.choice([each for each in EXTREME_FLOATS if code[1] == "d" or not 1e300 < abs(each) < float("inf")])
    return _with(data, start, struct.calcsize(code), struct.pack(code, value))


BYTE_DAMAGES: dict[str, Callable[[bytes, int, random.Random], bytes]] = {
    "a bit flipped": _flip,
    "a byte set": _set,
    "a range cut": _cut,
    "bytes inserted": _insert,
    "a range repeated": _repeat,
    "two ranges swapped": _swap,
    "a range zeroed": _zero,
    "truncated": _truncate,
    "appended": _append,
    "an integer set": _integer,
    "a float set": _float,
}
