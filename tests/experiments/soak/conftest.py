"""Commands on small phantoms, each run once undisturbed. `MEDSSL_SOAK` says how often each is disturbed then."""

import csv
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from experiments.configs import phantom, phantom_sos

CONFIGS = {"focalmix": phantom.get_config, "sos": phantom_sos.get_config}
SMALL_PHANTOM = Path(__file__).parents[1] / "small_phantom.py"
# What holds a process, the time of day or the seconds that something took, and what orbax names by chance.
BY_CHANCE = r"\.lock$|^events\.out|^switch\.(json|png)$|^slides\.html$|^checkpoints/"
# As medssl_jax.core.progress says it where stderr is no terminal.
PROGRESS = r"[a-z ]+: \d+( of \d+)? [a-z]+(, \S+ [a-z]+/s, \d+ s left| in \d+ s)?"


class Command(NamedTuple):
    """A command without the folder it writes, and the one that makes what it reads."""

    flags: tuple[str, ...]
    folder_flag: str
    after: str | None = None


COMMANDS = {
    "focalmix": Command(
        (
            f"--config={SMALL_PHANTOM}:phantom,wide",
            "--config.steps=8",
            "--config.ssl.ramp_start_share=0.2",
            "--config.logging.log_every=2",
            "--config.logging.save_every=2",
        ),
        "workdir",
    ),
    "sos": Command(("--config=small_sos.py",), "workdir"),
    "prepare": Command(("--manual_dir=data/phantom/LUNA16",), "data_dir", "focalmix"),
    "detect": Command(("--checkpoint=whole/focalmix", "--input=scans/scan.mhd"), "output", "focalmix"),
    "classify": Command(("--checkpoint=whole/sos", "--input=slides"), "output", "sos"),
}


class Soak:
    """Commands started in one folder, where `whole/NAME` is what each wrote undisturbed."""

    def __init__(self, folder: Path, times: int, differences_of_runs: Callable[..., dict[str, Any]]):
        self.folder, self.times, self._differences_of_runs = folder, times, differences_of_runs
        self._seconds: dict[str, float] = {}

    @functools.cached_property
    def earliest_seconds(self) -> float:
        """Twice what Python needs to come to our package; what an interrupt does before is not ours."""
        since = time.monotonic()
        subprocess.run([sys.executable, "-c", "import experiments"], check=True)
        return 2 * (time.monotonic() - since)

    def start(self, name: str, target: str) -> subprocess.Popen:
        """Starts a command that writes `target`, in a process group of its own, as a terminal does."""
        command = COMMANDS[name]
        return subprocess.Popen(
            [sys.executable, "-m", f"experiments.{name}", *command.flags, f"--{command.folder_flag}={target}"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def said(told: str) -> list[str]:
        """The lines on stderr but for progress."""
        return [line for line in re.split(r"[\r\n]+", told) if line.strip() and not re.fullmatch(PROGRESS, line)]

    def run(self, name: str, target: str) -> None:
        """Runs it to its end, in which it warns of nothing."""
        _, told = (process := self.start(name, target)).communicate()
        assert process.returncode == 0, told
        assert not self.said(told)

    def seconds(self, name: str) -> float:
        """How long the undisturbed command takes; it is run where it has not been."""
        if name not in self._seconds:
            if after := COMMANDS[name].after:
                self.seconds(after)
            if name in CONFIGS:  # makes the data and compiles: the moments are to lie in the training
                self.run(name, f"first/{name}")
            self._copy_inputs(name)
            since = time.monotonic()
            self.run(name, f"whole/{name}")
            self._seconds[name] = time.monotonic() - since
        return self._seconds[name]

    def _copy_inputs(self, name):
        data = self.folder / "data"
        if name == "detect":
            (self.folder / "scans").mkdir()
            header = min((data / "phantom/LUNA16/subset9").glob("*.mhd"))
            shutil.copy(header.with_suffix(".raw"), self.folder / "scans")
            shutil.copy(header, self.folder / "scans" / "scan.mhd")
        if name == "classify":
            (self.folder / "slides").mkdir()
            for path in sorted((data / "phantom_lks/LKS").rglob("*.tif*"))[:6]:
                shutil.copy(path, self.folder / "slides")

    def assert_same_bits(self, name: str, target: str) -> None:
        """`target` has the files that the undisturbed command wrote, and a run ended the same."""
        whole, other = (_hashes(self.folder / each) for each in (f"whole/{name}", target))
        assert other == whole
        if name in CONFIGS:
            self.assert_same_end(name, target)

    def assert_same_end(self, name: str, target: str) -> None:
        """The run in `target` has the state and results of the undisturbed one, whatever else lies there."""
        differences = self._differences_of_runs(CONFIGS[name](), self.folder / "whole" / name, self.folder / target)
        assert not any(differences.values()), differences


@pytest.fixture(scope="session")
def soak(tmp_path_factory, write_small_sos, differences_of_runs):
    """They share what JAX compiles, which changes no bit."""
    folder = tmp_path_factory.mktemp("soak")
    write_small_sos(folder / "small_sos.py", steps=8)
    # Else what a shell started behind, as a test run may be, starts commands that ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Soak(folder, int(os.environ.get("MEDSSL_SOAK", "1")), differences_of_runs)
    signal.signal(signal.SIGINT, before)


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that is not named or timed by chance."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(_without_seconds(path)).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not re.search(BY_CHANCE, str(path.relative_to(folder)))
    }


def _without_seconds(path: Path) -> bytes:
    if path.name == "results.json":
        return repr(_untimed(json.loads(path.read_text()))).encode()
    if path.name == "results.csv":
        with path.open() as file:
            return repr([_untimed(row) for row in csv.DictReader(file)]).encode()
    return path.read_bytes()


def _untimed(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _untimed(each) for name, each in content.items() if "seconds" not in name}
    return [_untimed(each) for each in content] if isinstance(content, list) else content
