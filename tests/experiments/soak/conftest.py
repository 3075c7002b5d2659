"""Every command on small phantoms, run once undisturbed. `MEDSSL_SOAK` says how often each is disturbed then."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from experiments.configs import phantom, phantom_sos
from medssl_jax.runs.equality import compare_runs

EXPERIMENTS = Path(__file__).parents[1]
FOCALMIX_FLAGS = (
    f"--config={EXPERIMENTS / 'small_phantom.py'}",
    *("--config.steps=16", "--config.logging.log_every=2", "--config.logging.save_every=4"),
)


@dataclasses.dataclass(frozen=True)
class Command:
    """A command without the folder it writes; `difference` tells how two such folders differ, None where in no bit."""

    name: str
    flags: tuple[str, ...]
    folder_flag: str
    difference: Callable[[Path, Path], str | None]

    def line(self, folder: str) -> list[str]:
        """What starts it."""
        return [sys.executable, "-m", f"experiments.{self.name}", *self.flags, f"--{self.folder_flag}={folder}"]


@dataclasses.dataclass(frozen=True)
class Soak:
    """Where the commands are started, what each wrote undisturbed (`whole/NAME`), and how long it took."""

    folder: Path
    commands: dict[str, Command]
    seconds: dict[str, float]
    times: int

    def start(self, name: str, folder: str) -> subprocess.Popen:
        """Starts a command in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            self.commands[name].line(folder),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def assert_same_bits(self, name: str, folder: str) -> None:
        """`folder` is what the undisturbed command wrote."""
        assert self.commands[name].difference(self.folder / "whole" / name, self.folder / folder) is None


@pytest.fixture(scope="session")
def soak(tmp_path_factory, write_small_sos):
    """All commands once; they share what JAX compiles, which changes no bit."""
    folder = tmp_path_factory.mktemp("soak")
    write_small_sos(folder / "small_sos.py", steps=8)
    listed = (
        Command("focalmix", FOCALMIX_FLAGS, "workdir", _of_runs(phantom.get_config())),
        Command("sos", ("--config=small_sos.py",), "workdir", _of_runs(phantom_sos.get_config())),
        Command("prepare", ("--manual_dir=data/phantom/LUNA16",), "data_dir", _of_files),
        Command("detect", ("--checkpoint=whole/focalmix", "--input=scans/scan.mhd"), "output", _of_files),
        Command("classify", ("--checkpoint=whole/sos", "--input=slides"), "output", _of_slides),
    )
    made = Soak(folder, {each.name: each for each in listed}, {}, int(os.environ.get("MEDSSL_SOAK", "1")))
    for name in made.commands:
        if name == "detect":
            _copy_inputs(folder)
        # The first run of each training command also makes its data: the moments are to lie in the training.
        for target in ("first", "whole") if name in ("focalmix", "sos") else ("whole",):
            started = time.monotonic()
            _, told = (process := made.start(name, f"{target}/{name}")).communicate()
            assert process.returncode == 0, told
            assert not re.search(r"^[IWEF]\d{4} |warning|libtpu|orbax", told, re.MULTILINE | re.IGNORECASE), told
            made.seconds[name] = time.monotonic() - started
    return made


def _copy_inputs(folder):
    scan = sorted((folder / "data/phantom/LUNA16/subset9").glob("*.mhd"))[0]
    (folder / "scans").mkdir()
    shutil.copy(scan.with_suffix(".raw"), folder / "scans")
    shutil.copy(scan, folder / "scans" / "scan.mhd")
    (folder / "slides").mkdir()
    for slide in sorted((folder / "data/phantom_lks/LKS").rglob("*.tif*"))[:6]:
        shutil.copy(slide, folder / "slides")


def _of_runs(config: ConfigDict) -> Callable[[Path, Path], str | None]:
    def difference(a, b):
        differing = [each for each in compare_runs(config, a, b) if each.difference]
        return str(differing) if differing else None

    return difference


def _of_files(a, b):
    """All files but the locks, which name processes."""

    def hashes(folder):
        return {
            path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file() and path.name != ".lock"
        }

    ours, theirs = hashes(a), hashes(b)
    differing = sorted(str(name) for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return f"{', '.join(differing)} of {len(ours)} files" if differing else None


def _of_slides(a, b):
    """What was found, but for the seconds it took, which the table and the page tell too."""

    def found(folder):
        return _without_seconds(json.loads((folder / "results.json").read_text()))

    names = [sorted(path.name for path in folder.iterdir()) for folder in (a, b)]
    return None if found(a) == found(b) and names[0] == names[1] else f"{found(a)} and {found(b)}, {names}"


def _without_seconds(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_seconds(each) for name, each in content.items() if "seconds" not in name}
    return [_without_seconds(each) for each in content] if isinstance(content, list) else content
