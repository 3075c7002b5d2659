"""One mutated input, read and judged in a process of its own, which may die, hang or ask for too much memory."""

import contextlib
import dataclasses
import importlib
import os
import pickle
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from medssl_jax.core.errors import InputError
from tests.fuzz.oracle import Wrong

SLOW_SECONDS = 20
LARGE_BYTES = 2 * 10**9
ADDRESS_BYTES = 12 * 2**30  # beyond what a process has at its start; a claim of more is found though it is never met
LOOK_SECONDS = 0.1  # how often the memory of a process is looked at
LONGEST_MESSAGE = 600
KINDS = (
    *("metaimage", "nifti", "nrrd", "dicom", "tiff", "csv", "npz"),
    *("patch_store", "checkpoint", "prepared", "crop_cache", "config", "run_files"),
)
FAULTS = ("wrong", "traceback", "message", "crash", "slow", "large")


class Kind(Protocol):
    """A module of `kinds`; the folders that it is given are its own to fill, to alter and to read.

    One whose input is more than files has `FIELDS_NAMED`, of which a message may name one instead.
    """

    VARIANTS: tuple[str, ...]

    def make(self, folder: Path, variant: str) -> None:
        """Writes a small valid input into the empty folder."""

    def mutate(self, folder: Path, variant: str, rng: random.Random) -> str:
        """Alters the input; says how."""

    def read(self, folder: Path) -> Any:
        """Reads it as a command does. Raises `InputError` for what is refused."""

    def judge(self, damaged: Path, valid: Path, reading: Any) -> str:
        """Why the reading of the folder `damaged` is right. Raises `Wrong` where it is not."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one input: `verdict` is "refused", "right" or one of `FAULTS`; `reason` says it in words."""

    kind: str
    seed: int
    mutation: str
    verdict: str
    reason: str
    seconds: float = 0.0
    peak_bytes: int = 0
    details: str = ""


class Trials:
    """Inputs of one kind. What is valid is written once, below `scratch`."""

    def __init__(self, name: str, scratch: Path):
        self.name = name
        self._scratch = scratch
        self._kind: Kind = kind_of(name)

    def run(self, seed: int, *, keep: Path | None = None) -> Outcome:
        """Tries the input of this seed; a copy of it stays in the folder `keep`, where one is given."""
        rng = random.Random(f"{self.name} {seed}")
        variant = rng.choice(self._kind.VARIANTS)
        valid = self._valid(variant)
        damaged = self._scratch / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(valid, damaged, symlinks=True)
        mutation = f"{variant}: {_made(lambda: self._kind.mutate(damaged, variant, rng))}"
        if keep:
            shutil.copytree(damaged, keep, symlinks=True, dirs_exist_ok=True)
        ended = in_child(lambda: _tried(self._kind, damaged, valid))
        return Outcome(self.name, seed, mutation, **ended)

    def check_valid(self) -> None:
        """Raises `AssertionError` where an input that nobody altered is refused or judged wrong."""
        for variant in self._kind.VARIANTS:
            valid = self._valid(variant)
            ended = in_child(lambda valid=valid: _tried(self._kind, valid, valid))
            assert ended["verdict"] == "right", f"{self.name} {variant}: {ended}"

    def _valid(self, variant):
        folder = self._scratch / "valid" / variant
        if not folder.exists():
            folder.mkdir(parents=True)
            _made(lambda: self._kind.make(folder, variant))
        return folder


def kind_of(name: str) -> Any:
    """The module of a kind."""
    return importlib.import_module(f"tests.fuzz.kinds.{name}")


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` returns in a process of its own; that it died, or was ended because it took too long."""
    with tempfile.TemporaryFile() as output:
        receiving, sending = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(receiving)
            _become_child(output, sending, work)
        os.close(sending)
        started = time.monotonic()
        answer = _received(receiving, pid, started + 3 * SLOW_SECONDS)
        os.close(receiving)
        seconds = time.monotonic() - started
        if answer is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        output.seek(0)
        said = output.read().decode(errors="backslashreplace")[-2000:]
    if answer is None:
        verdict = "large" if _peak(usage) > LARGE_BYTES else "slow"
        return {"verdict": verdict, "reason": "had to be ended", "seconds": seconds, "peak_bytes": _peak(usage)}
    if os.WIFSIGNALED(status) or not answer:
        died = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status >> 8}"
        return {"verdict": "crash", "reason": died, "peak_bytes": _peak(usage), "details": said}
    ended = pickle.loads(answer)
    return ended if ended["verdict"] in ("right", "refused", "made") else ended | {"details": ended["details"] + said}


def _received(file, pid, deadline):
    """All that comes through a pipe until it is closed; None where the time is up, or the process grows too large."""
    pieces = []
    while time.monotonic() < deadline and _bytes_of(pid, 1) < 1.5 * LARGE_BYTES:
        if select.select([file], [], [], LOOK_SECONDS)[0]:
            piece = os.read(file, 1 << 16)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
    return None


def _become_child(output, sending, work):
    status = 1
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_bytes_of(os.getpid(), 0) + ADDRESS_BYTES, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        answer = pickle.dumps(work())
        while answer:
            answer = answer[os.write(sending, answer) :]
        status = 0
    finally:
        os._exit(status)


def _made(work):
    """What `work` tells, from a process of its own: threads of a library that writes do not outlive a fork."""

    def told():
        try:
            return {"verdict": "made", "reason": work()}
        except Exception:
            return {"verdict": "failed", "reason": "cannot be made", "details": traceback.format_exc()}

    ended = in_child(told)
    assert ended["verdict"] == "made", ended
    return ended["reason"]


def _tried(kind, damaged, valid):
    started = time.monotonic()
    verdict, reason, details, reading = "", "", "", None
    try:
        reading = kind.read(damaged)
    except InputError as error:
        bad = _bad_manners(str(error), damaged, valid, getattr(kind, "FIELDS_NAMED", ()))
        verdict, reason = ("message", f"{bad}: {str(error)[:400]!r}") if bad else ("refused", str(error))
        if "allocat" in str(error):  # more than there is was asked for, before it was held against the file
            verdict = "large"
    except MemoryError:
        verdict, reason, details = "large", "MemoryError", traceback.format_exc()[-1500:]
    except BaseException as error:
        verdict, reason, details = "traceback", _brief(error), traceback.format_exc()[-3000:]
    seconds = time.monotonic() - started
    peak_bytes = _peak(resource.getrusage(resource.RUSAGE_SELF))
    if seconds > SLOW_SECONDS:
        verdict, reason = "slow", f"{seconds:.0f} s, {verdict} {reason}"
    elif peak_bytes > LARGE_BYTES:
        verdict, reason = "large", f"{peak_bytes / 1e9:.1f} GB, {verdict} {reason}"
    if not verdict:
        try:
            verdict, reason = "right", kind.judge(damaged, valid, reading)
        except Wrong as fault:
            verdict, reason = "wrong", str(fault)
        except Exception as error:
            verdict, reason, details = "wrong", f"the oracle failed: {_brief(error)}", traceback.format_exc()[-3000:]
    return {"verdict": verdict, "reason": reason, "seconds": seconds, "peak_bytes": peak_bytes, "details": details}


def _bad_manners(message, damaged, valid, fields):
    """What is wrong with the message of a refusal; "" where it is one line of text that names the file or field."""
    if len(message.splitlines()) != 1 or any(unicodedata.category(each) in ("Cc", "Cs") for each in message):
        return "not one line of text"
    if len(message) > LONGEST_MESSAGE:
        return f"{len(message)} characters long"
    names = {path.name for folder in (damaged, valid) for path in folder.rglob("*")}
    if str(damaged) not in message and not any(name in message for name in (*names, *fields)):
        return "names neither file nor field"
    return ""


def _brief(error):
    return f"{type(error).__name__}: {error}"[:300]


def _peak(usage):
    return usage.ru_maxrss * 1024


def _bytes_of(pid, column):
    """Address space (0) or memory (1) of a process in bytes; nothing where it has just ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[column]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0
