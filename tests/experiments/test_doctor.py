"""`medssl doctor` on installations and machines that lack something: each time the line that mends it."""

import errno
import fcntl
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
    assert "-> pip install -c constraints.txt -e '.[gpu]'\n" in done.stdout


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
    assert "! devices         JAX cannot compute: there is no device that JAX_PLATFORMS=cuda asks for\n" in done.stdout
    assert "-> unset JAX_PLATFORMS, which asks for cuda" in done.stdout


@pytest.mark.parametrize(
    ("reason", "mend"),
    [
        (
            "Unable to initialize backend: Failed to open /x/libtpu.so",
            "TPU_LIBRARY_PATH, which names /x/libtpu.so",
        ),
        ("Unable to initialize backend: another reason", "JAX_PLATFORMS, which asks for tpu"),
    ],
)
def test_a_libtpu_that_cannot_be_opened(tmp_path, monkeypatch, reason, mend):
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    monkeypatch.setenv("TPU_LIBRARY_PATH", "/x/libtpu.so")
    monkeypatch.setattr(doctor, "PROBE", f"raise SystemExit({reason!r})")
    (told,) = found("devices", tmp_path)
    assert (told.mend, told.blocks) == (f"unset {mend}", True)
    assert told.found == f"JAX cannot compute: {reason}"


def test_a_tpu_whose_library_is_another_file(tmp_path, monkeypatch, probed):
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/accel0" or exists(path))
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("TPU_LIBRARY_PATH", "/x/libtpu.so")
    (mend,) = (each.mend for each in found("devices", tmp_path) if each.mend)
    assert mend == "unset TPU_LIBRARY_PATH, which names /x/libtpu.so"


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
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)  # which JAX sets where it is imported
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
    ("free", "told", "mend"),
    [
        (2.9, "2.9 of 16.0 GiB are free: little for training", "end other programs, or take a larger machine"),
        (3.0, "3.0 of 16.0 GiB are free", ""),
    ],
)
def test_a_machine_whose_memory_is_taken(tmp_path, monkeypatch, probed, free, told, mend):
    monkeypatch.setattr(doctor, "free_memory_bytes", lambda: int(free * 2**30))
    monkeypatch.setattr(doctor, "machine_memory_bytes", lambda: 16 * 2**30)
    assert found("memory", tmp_path) == [doctor.Finding("memory", told, mend, blocks=False)]


def test_memory_is_not_known_without_the_package_that_tells_it(tmp_path, monkeypatch, probed):
    def absent():
        raise ModuleNotFoundError("No module named 'psutil'")

    monkeypatch.setattr(doctor, "free_memory_bytes", absent)
    (told,) = found("memory", tmp_path)
    assert told.found == "not known: No module named 'psutil'"


def driver_that_tells(folder, monkeypatch, *lines, status=0):
    """An nvidia-smi that answers the one question with these lines, first among all programs."""
    program = folder / "nvidia-smi"
    asked = "--query-gpu=index,memory.free,memory.total --format=csv,noheader,nounits"
    text = ["#!/bin/sh", f'[ "$*" = "{asked}" ] || exit 9', *(f"echo '{line}'" for line in lines), f"exit {status}"]
    program.write_text("\n".join(text) + "\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_a_gpu_whose_memory_another_program_holds(tmp_path, monkeypatch, probed):
    driver_that_tells(tmp_path, monkeypatch, "0, 61440, 81920", "1, 61439, 81920", "2, [N/A], [N/A]")
    assert found("GPU memory", tmp_path) == [
        doctor.Finding("GPU memory", "60.0 of 80.0 GiB of GPU 0 are free"),
        doctor.Finding(
            "GPU memory",
            "60.0 of 80.0 GiB of GPU 1 are free, and JAX takes 75% of all",
            "end what nvidia-smi shows there, or name another GPU in CUDA_VISIBLE_DEVICES",
        ),
        doctor.Finding("GPU memory", "the driver does not tell that of GPU 2"),
    ]


def test_a_driver_that_fails_is_left_to_the_devices(tmp_path, monkeypatch, probed):
    driver_that_tells(tmp_path, monkeypatch, "NVIDIA-SMI has failed", status=9)
    assert found("GPU memory", tmp_path) == []


@pytest.mark.parametrize("name", ["XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
@pytest.mark.parametrize(("free", "is_little"), [(1.9e9, True), (2e9, False)])
def test_the_disk_of_compiled_programs_may_be_another(tmp_path, monkeypatch, probed, name, free, is_little):
    programs = tmp_path / "cache"
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv(name, str(programs))
    usage = lambda path: Usage(2e12, 0, free if programs in (path, *Path(path).parents) else 1e12)  # noqa: E731
    monkeypatch.setattr(doctor.shutil, "disk_usage", usage)
    (told,) = found("programs", tmp_path)
    place = programs / "medssl_jax" / "programs" if name == "XDG_CACHE_HOME" else programs
    assert told.found == f"0 MB compiled ones in {place}, which may be deleted; {free / 1e9:.1f} GB free there"
    assert told.mend == (f"delete them, or set {name} to a folder on another disk" if is_little else "")
    assert not told.blocks


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
    assert folder.found.startswith(f"{tmp_path}/file/below: no folder that can be written to (Not a directory)")
    (programs,) = found("programs", tmp_path)
    assert not programs.blocks
    assert programs.found.startswith(f"not kept: {tmp_path}/file/medssl_jax/programs: ")
    assert programs.mend == "set XDG_CACHE_HOME to a folder that you can write to"


def test_a_file_system_without_locks(tmp_path, monkeypatch, probed):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (told,) = found("folder", tmp_path)
    assert told.blocks
    assert "cannot be locked (No locks available)" in told.found
    assert told.mend.endswith("on a file system with locks")


def test_temporary_files_have_a_disk_of_their_own(tmp_path, monkeypatch, probed):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(doctor.tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(2e12, 0, 0 if path == temporary else 1e12))
    (disk,), (files,) = found("disk", tmp_path), found("temporary files", tmp_path)
    assert (disk.blocks, files.blocks) == (False, True)
    assert files.found == f"0.0 GB free in {temporary}"
    assert files.mend == "free 2.0 GB, or set TMPDIR to a folder on another disk"


def test_an_installation_that_is_older_than_its_code(tmp_path, monkeypatch, probed):
    monkeypatch.setitem(doctor.EXTRAS, "newer", "what is new")
    (told,) = found("extra newer", tmp_path)
    assert told.mend == "pip install -c constraints.txt -e . in the clone"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_linux_and_macos_are_its_systems(tmp_path, monkeypatch, probed, platform):
    monkeypatch.setattr(doctor.sys, "platform", platform)
    (told,) = found("system", tmp_path)
    assert (told.mend, told.blocks) == ("", False)


def test_windows_is_told_what_to_do(tmp_path, monkeypatch, probed):
    monkeypatch.setattr(doctor.sys, "platform", "win32")
    (told,) = found("system", tmp_path)
    assert told.blocks
    assert "WSL 2" in told.mend
