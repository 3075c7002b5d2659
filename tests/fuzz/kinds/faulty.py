"""A reader with every fault that the fuzzer is to find: its own test."""

import os
import signal
from pathlib import Path

import numpy as np

from medssl_jax.core.errors import InputError
from tests.fuzz.oracle import SAME, Wrong

VARIANTS = ("sound",)
VERDICTS = {
    "sound": "right",
    "refuses": "refused",
    "gives another answer": "wrong",
    "raises": "traceback",
    "leaves": "traceback",
    "refuses in two lines": "message",
    "refuses without a name": "message",
    "refuses at length": "message",
    "dies": "crash",
    "asks for 100 GB": "large",
    "takes 3 GB": "large",
}


def make(folder: Path, variant: str) -> None:
    """A file that says how it is to be read."""
    (folder / "file.txt").write_text(variant)


def mutate(folder: Path, variant: str, rng) -> str:
    """Any of the ways."""
    way = rng.choice(tuple(VERDICTS))
    (folder / "file.txt").write_text(way)
    return way


def read(folder: Path) -> str:
    """Does what the file says."""
    way = (folder / "file.txt").read_text()
    if way.startswith("refuses"):
        message = {"refuses": "file.txt: no", "refuses without a name": "no"}.get(way, f"file.txt:{' no' * 400}")
        error = InputError(message)
        error.args = ("file.txt:\nno",) if way == "refuses in two lines" else error.args
        raise error
    if way == "raises":
        raise KeyError(way)
    if way == "leaves":
        raise SystemExit(2)
    if way == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if way == "asks for 100 GB":
        np.empty(10**11, np.uint8)
    if way == "takes 3 GB":
        np.ones(3 * 10**9, np.uint8)
    return way


def judge(damaged: Path, valid: Path, reading: str) -> str:
    """Only what is sound is right."""
    if reading != "sound":
        raise Wrong(reading)
    return SAME
