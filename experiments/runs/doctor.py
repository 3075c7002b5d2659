"""What can be said of an installation before anything is run: each finding with the line that mends it.

JAX is looked at from a process of its own, which may crash or hang without taking this one with it. All limits are our
choice.
"""

import importlib.metadata
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.machine_memory import free_memory_bytes, machine_memory_bytes
from medssl_jax.core.requirements import PACKAGE, Unmet, install_line, installed_version, requirements_of, unmet
from medssl_jax.core.user_cache import programs_folder

# What each extra is for; `test` and `peers` are for who works on the project.
EXTRAS = {
    "gpu": "training and detection on NVIDIA GPUs",
    "tpu": "training on TPUs, and experiments.plan",
    "beam": "experiments.prepare on Apache Beam",
    "dicom": "experiments.detect --formats=sr,seg",
}
# Of JAX's own extras, each with the package that is there where the extra was asked for.
PLUGINS = {"cuda12": "jax-cuda12-plugin", "cuda13": "jax-cuda13-plugin", "tpu": "libtpu"}
# What a driver leaves where an accelerator is, the extra of JAX that uses it, and what JAX calls the device.
ACCELERATORS = (
    ("an NVIDIA GPU", ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg"), "cuda12", "gpu"),
    ("a TPU", ("/dev/accel0",), "tpu", "tpu"),
)
LEAST_FREE_BYTES = 2 * 10**9
MODEST_FREE_BYTES = 20 * 10**9
MODEST_FREE_MEMORY_BYTES = 3 * 2**30  # the phantom's trainings take up to 2
JAX_TAKES = 0.75  # of a GPU's memory, when it starts, unless XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise
QUERY_GPUS = ("nvidia-smi", "--query-gpu=index,memory.free,memory.total", "--format=csv,noheader,nounits")
PROBE_SECONDS = 180
TPU_LIBRARY = "TPU_LIBRARY_PATH"  # where JAX finds libtpu, unless it is the package
PROBE = """
import json
from medssl_jax.plan.topology import answer_for_absent_tpu
answer_for_absent_tpu()
import jax
from medssl_jax.parallel.device_memory import memory_bytes
ones = jax.numpy.ones
convolution = lambda: jax.lax.conv(ones((1, 1, 4, 4, 4)), ones((1, 1, 3, 3, 3)), (1, 1, 1), "VALID").sum()
devices = [(each.platform, each.device_kind, memory_bytes(each)) for each in jax.local_devices()]
print(json.dumps({"devices": devices, "sum": float(jax.jit(convolution)())}))
"""
RIGHT_SUM = 216  # 8 places of 27 products


class Finding(NamedTuple):
    """What was found of a subject; `mend` is what to do about it, empty where nothing is to be done."""

    subject: str
    found: str
    mend: str = ""
    blocks: bool = False


def findings(folder: Path | None = None) -> Iterator[Finding]:
    """Everything there is to say, for work in `folder`, the working directory unless given."""
    folder = folder or Path.cwd()
    yield _system()
    yield from _packages()
    yield from _plugins()
    yield _memory()
    yield from _gpu_memory()
    yield from _devices()
    yield from _extras()
    yield _disk("disk", folder, "change to a folder on another disk, or give --workdir and --output there")
    yield _disk("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder on another disk")
    yield _locks(folder)
    yield _programs()


def as_text(finding: Finding) -> str:
    """A line, and one more where there is something to do: `!` must be, `-` may be done."""
    mark = "!" if finding.blocks else "-" if finding.mend else " "
    lines = [f"{mark} {finding.subject:16}{finding.found}"]
    return "\n".join([*lines, f"{'':18}-> {finding.mend}"] if finding.mend else lines)


def _system() -> Finding:
    found = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    found = f"{PACKAGE} {importlib.metadata.version(PACKAGE)} on {found}"
    if sys.platform.startswith(("linux", "darwin")):
        return Finding("system", found)
    return Finding("system", found, "use Linux or macOS; on Windows, a Linux in WSL 2 (wsl --install)", blocks=True)


def _packages() -> Iterator[Finding]:
    needed = requirements_of(PACKAGE)
    wrong = [*unmet(needed)]
    yield Finding("packages", f"{len(needed)} are needed, {len(wrong) or 'none'} absent or in another version")
    for each in wrong:
        yield Finding(each.requirement, _found(each), _pip_install([each.requirement]), blocks=True)


def _plugins() -> Iterator[Finding]:
    """An accelerator's package of another version than JAX's is refused by JAX, or crashes."""
    for extra, plugin in PLUGINS.items():
        asked = requirements_of("jax", extra)
        if installed_version(plugin) and (wrong := [*unmet(asked)]):
            told = "; ".join(f"{each.requirement}, {_found(each)}" for each in wrong)
            yield Finding("plugin of JAX", f"JAX {_jax()} asks for {told}", _pip_install(r.requirement for r in wrong))


def _memory() -> Finding:
    try:
        free, total = free_memory_bytes(), machine_memory_bytes()
    except ImportError as error:  # told among the packages, with the line that mends it
        return Finding("memory", f"not known: {error}")
    found = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB are free"
    if free < MODEST_FREE_MEMORY_BYTES:
        return Finding("memory", f"{found}: little for training", "end other programs, or take a larger machine")
    return Finding("memory", found)


def _gpu_memory() -> Iterator[Finding]:
    """Of each GPU that the driver tells of; asked before JAX takes its share of it."""
    try:
        told = subprocess.run(QUERY_GPUS, capture_output=True, text=True, check=True, timeout=PROBE_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):  # no driver, or one that does not answer: devices tell the rest
        return
    for index, *mib in (re.split(", *", line.strip()) for line in told.splitlines()):
        if len(mib) != 2 or not all(each.isdigit() for each in mib):
            yield Finding("GPU memory", f"the driver does not tell that of GPU {index}")
            continue
        free, total = map(int, mib)
        found = f"{free / 2**10:.1f} of {total / 2**10:.1f} GiB of GPU {index} are free"
        if free >= JAX_TAKES * total:
            yield Finding("GPU memory", found)
        else:
            mend = "end what nvidia-smi shows there, or name another GPU in CUDA_VISIBLE_DEVICES"
            yield Finding("GPU memory", f"{found}, and JAX takes {JAX_TAKES:.0%} of all", mend)


def _devices() -> Iterator[Finding]:
    try:
        told = _probe()
    except (subprocess.SubprocessError, ValueError) as error:
        reason = _reason(error)
        mend = _mended_jax(f"jax=={_jax()}", of_tpu=os.environ.get(TPU_LIBRARY, "libtpu") in reason)
        yield Finding("devices", f"JAX cannot compute: {reason}", mend, blocks=True)
        return
    kinds = [tuple(each) for each in told["devices"]]
    for platform_name, kind, memory in sorted({*kinds}):
        count = kinds.count((platform_name, kind, memory))
        cores = f" of {os.cpu_count()} cores" if platform_name == "cpu" else ""
        yield Finding("devices", f"{count} x {platform_name} ({kind}){cores}, {memory / 2**30:.1f} GiB of memory")
    if told["sum"] != RIGHT_SUM:
        yield Finding(
            "devices", f"a convolution gives {told['sum']}, not {RIGHT_SUM}", "update the driver", blocks=True
        )
    for name, signs, extra, platform_name in ACCELERATORS:
        if any(Path(sign).exists() for sign in signs) and platform_name not in {each[0] for each in kinds}:
            mend = _mended_jax(f"jax[{extra}]=={_jax()}", of_tpu=platform_name == "tpu")
            yield Finding("devices", f"{name} is here, but JAX does not use it", mend)
    if {each[0] for each in kinds} == {"cpu"}:
        yield Finding("", "no accelerator: the phantoms and small jobs run, LUNA16 is too large")


def _mended_jax(requirement: str, *, of_tpu: bool) -> str:
    """A wish that cannot be granted is given up before anything is installed."""
    asked, library = os.environ.get("JAX_PLATFORMS"), os.environ.get(TPU_LIBRARY)
    if of_tpu and library:
        return f"unset {TPU_LIBRARY}, which names {library}"
    return f"unset JAX_PLATFORMS, which asks for {asked}" if asked else _pip_install([requirement])


def _extras() -> Iterator[Finding]:
    known = importlib.metadata.metadata(PACKAGE).get_all("Provides-Extra") or ()
    for extra, purpose in EXTRAS.items():
        if extra not in known:
            mend = "pip install -c constraints.txt -e . in the clone"
            yield Finding(f"extra {extra}", "is not known to this installation, which is older than its code", mend)
            continue
        wrong = [*unmet(requirements_of(PACKAGE, extra))]
        if not wrong:
            yield Finding(f"extra {extra}", f"is there, for {purpose}")
            continue
        yield Finding(f"extra {extra}", f"is not there, for {purpose}", install_line(extra))


def _disk(subject: str, folder: Path, elsewhere: str) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if free < LEAST_FREE_BYTES:
        return Finding(subject, found, f"free {(LEAST_FREE_BYTES - free) / 1e9:.1f} GB, or {elsewhere}", blocks=True)
    if free < MODEST_FREE_BYTES:
        return Finding(subject, found, f"enough for phantoms; for data sets {elsewhere}")
    return Finding(subject, found)


def _locks(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryDirectory(dir=writable_directory(folder)) as place:
            from medssl_jax.core.locks import alone  # not on Windows

            with alone(Path(place), "trying"):
                pass
    except (InputError, ImportError, OSError) as error:
        mend = "change to a folder that you can write to, on a file system with locks"
        return Finding("folder", str(error).partition(": choose")[0], mend, blocks=True)
    return Finding("folder", f"{folder} can be written, and locked against a second run")


def _programs() -> Finding:
    told = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        programs = writable_directory(told or programs_folder())
    except (InputError, RuntimeError) as error:
        return Finding("programs", f"not kept: {error}", "set XDG_CACHE_HOME to a folder that you can write to")
    held = sum(path.stat().st_size for path in programs.rglob("*") if path.is_file())
    free = shutil.disk_usage(programs).free
    found = f"{held / 1e6:.0f} MB compiled ones in {programs}, which may be deleted; {free / 1e9:.1f} GB free there"
    if free < LEAST_FREE_BYTES:
        name = "JAX_COMPILATION_CACHE_DIR" if told else "XDG_CACHE_HOME"
        return Finding("programs", found, f"delete them, or set {name} to a folder on another disk")
    return Finding("programs", found)


def _probe() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=PROBE_SECONDS
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        if lines and lines[-1] == "AssertionError":  # of JAX, which tries what it is told to, and has no word for it
            return f"there is no device that JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')} asks for"
        return lines[-1] if lines else f"it ended with status {error.returncode}"
    return "it does not answer" if isinstance(error, subprocess.TimeoutExpired) else str(error)


def _found(wrong: Unmet) -> str:
    return "not installed" if wrong.found is None else f"found {wrong.found}"


def _jax() -> str:
    return importlib.metadata.version("jax")


def _pip_install(requirements: Iterable[str]) -> str:
    return shlex.join(["pip", "install", *requirements])
