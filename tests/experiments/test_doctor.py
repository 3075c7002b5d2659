"""`medssl doctor` on installations and machines that lack something: each time the line that mends it."""

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from experiments import doctor as doctor_command
from experiments.runs import doctor
from medssl_jax.core.requirements import installed_version

Usage = namedtuple("Usage", "total used free")


def start(*, path=(), **environment):
    """The command itself; folders of `path` come before all that is installed."""
    path = os.pathsep.join([*map(str, path), os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "experiments.doctor"],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def install(folder, package, version):
    """What pip writes of a package."""
    place = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.1", f"Name: {package}", f"Version: {version}"])
    (place / "METADATA").write_text(text + "\n")


@pytest.fixture
def probed(monkeypatch):
    """Devices as JAX would tell of them, each (platform, kind, bytes)."""

    def probed(*devices, total=doctor.RIGHT_SUM):
        monkeypatch.setattr(doctor, "_probe", lambda: {"devices": [list(each) for each in devices], "sum": total})

    probed(("cpu", "cpu", 2**33))
    return probed


def found(subject, folder):
    return [each for each in doctor.findings(folder) if each.subject == subject]


def test_a_machine_without_an_accelerator_is_ready_and_told_so(tmp_path):
    done = start(XDG_CACHE_HOME=str(tmp_path))
    assert done.stderr == ""
    assert "x cpu (cpu) of " in done.stdout
    assert "no accelerator: the phantoms and small jobs run" in done.stdout
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Ready.")
    assert "extra gpu       is not there" in done.stdout
    assert f"-> pip install 'jax[cuda12]=={installed_version('jax')}'" in done.stdout


def test_packages_of_wrong_versions_are_told_with_the_one_that_is_asked_for(tmp_path):
    """A plugin of JAX may stay, since planning alone needs it; what every command needs keeps them from running."""
    install(tmp_path, "libtpu", "0.0.1")
    install(tmp_path, "flax", "0.1")
    done = start(path=[tmp_path])
    lines = done.stdout.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("- plugin of JAX")]
    assert "found 0.0.1" in lines[place]
    assert lines[place + 1].split("-> ")[1].startswith("pip install 'libtpu==0.0.")
    assert "! flax>=0.12      found 0.1\n                  -> pip install 'flax>=0.12'\n" in done.stdout
    assert done.returncode == doctor_command.BLOCKED_STATUS
    assert lines[-1] == "Something above keeps commands from running."


def test_devices_that_jax_is_told_to_use_and_cannot(tmp_path):
    done = start(JAX_PLATFORMS="cuda")
    assert done.returncode == doctor_command.BLOCKED_STATUS
    assert "! devices         JAX cannot compute: " in done.stdout
    assert "-> unset JAX_PLATFORMS, which asks for cuda" in done.stdout


def test_a_process_that_hangs_is_no_device(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 0.5)
    (told,) = found("devices", tmp_path)
    assert told.blocks
    assert told.found == "JAX cannot compute: it does not answer"


@pytest.mark.parametrize(
    ("driver", "extra"), [("/proc/driver/nvidia/version", "cuda12"), ("/dev/accel0", "tpu"), (None, None)]
)
def test_an_accelerator_that_jax_does_not_use(tmp_path, monkeypatch, probed, driver, extra):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    exists = Path.exists
    signs = {sign for _, each, _, _ in doctor.ACCELERATORS for sign in each}
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == driver if str(path) in signs else exists(path))
    mends = [each.mend for each in found("devices", tmp_path) if each.mend]
    assert mends == ([f"pip install 'jax[{extra}]=={installed_version('jax')}'"] if extra else [])
    for platform in ("gpu", "tpu"):
        probed((platform, "a kind", 2**36))
        mends = [each.mend for each in found("devices", tmp_path) if each.mend]
        assert (mends == []) == (extra != {"gpu": "tpu", "tpu": "cuda12"}[platform])


def test_devices_are_counted_by_kind(tmp_path, probed):
    probed(*[("gpu", "A100", 60 * 2**30)] * 8)
    first, *_ = found("devices", tmp_path)
    assert first.found == "8 x gpu (A100), 60.0 GiB of memory"


def test_a_device_that_computes_wrongly(tmp_path, probed):
    probed(("gpu", "a kind", 2**36), total=0.0)
    assert [each.found for each in found("devices", tmp_path) if each.blocks] == ["a convolution gives 0.0, not 216"]


@pytest.mark.parametrize(
    ("free", "blocks", "mend"),
    [
        (0, True, "free 2.0 GB, or change to a folder on another disk"),
        (1.5e9, True, "free 0.5 GB, or "),
        (5e9, False, "enough for phantoms; for data sets "),
        (1e12, False, ""),
    ],
)
def test_a_full_disk(tmp_path, monkeypatch, probed, free, blocks, mend):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(2e12, 0, free))
    (told,) = found("disk", tmp_path)
    assert told.found == f"{free / 1e9:.1f} GB free in {tmp_path}"
    assert told.blocks == blocks
    assert told.mend[: len(mend) or None] == mend
    (temporary,) = found("temporary files", tmp_path)
    assert temporary.blocks == blocks


def test_a_folder_and_a_cache_that_cannot_be_written(tmp_path, monkeypatch, probed):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(2e12, 0, 1e12))
    (folder,) = found("folder", tmp_path / "file" / "below")
    assert folder.blocks
    assert folder.found.startswith(f"{tmp_path}/file/below: cannot be used as the output folder: Not a directory")
    (programs,) = found("programs", tmp_path)
    assert not programs.blocks
    assert programs.found.startswith(f"not kept: {tmp_path}/file/medssl_jax/programs: ")
    assert programs.mend == "set XDG_CACHE_HOME to a folder that you can write to"


def test_an_installation_that_is_older_than_its_code(tmp_path, monkeypatch, probed):
    monkeypatch.setitem(doctor.EXTRAS, "newer", "what is new")
    (told,) = found("extra newer", tmp_path)
    assert told.mend == "pip install -c constraints.txt -e . in the clone"


def test_windows_is_told_what_to_do(tmp_path, monkeypatch, probed):
    monkeypatch.setattr(doctor.sys, "platform", "win32")
    (told,) = found("system", tmp_path)
    assert told.blocks
    assert "WSL 2" in told.mend
