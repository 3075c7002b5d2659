"""Runs test files on a copy of the repository, each time in a process of its own that need import little.

The process that forks has imported JAX and what else the tests stand on, nothing of the repository, and no backend.
"""

import contextlib
import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

MEMORY_BYTES = 16 * 2**30
LIBRARIES = """
flax.linen grain hypothesis jax.scipy.special matplotlib.pyplot ml_collections optax orbax.checkpoint pydicom pytest
scipy.ndimage scipy.stats SimpleITK tensorboardX tensorflow_datasets tifffile
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`failed` is the first test that failed, or how else it ended; "" where all passed.

    `seconds` are those of processors, child processes included; `lines` those that were run of each source file, where
    that was asked for.
    """

    failed: str
    seconds: float
    lines: dict[str, list[int]]


def copy_repository(root: Path, folder: Path) -> Path:
    """Copies what git knows or would add into `folder`; real reference files beside the repository are linked."""
    tree = folder / "tree"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    for name in subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
        if (root / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, tree / name)
    if (root.parent / "shared").exists():
        (folder / "shared").symlink_to((root.parent / "shared").resolve())
    return tree


def import_libraries() -> None:
    """Once, before the first fork."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    for name in LIBRARIES.split():
        with contextlib.suppress(ImportError):
            __import__(name)


def run_tests(
    tree: Path, files: list[str], *, cpu_seconds: float, wall_seconds: float, measure: bool = False
) -> Outcome:
    """Runs the quick tests of `files` on `tree`, up to the first that fails."""
    report = tree.parent / "report.json"
    report.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds) + 1, int(cpu_seconds) + 5))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            report.write_text(json.dumps(_run_here(tree, files, measure)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    status = _wait(child, wall_seconds)
    found = json.loads(report.read_text()) if report.exists() else {}
    if found.get("usage_error"):  # no fault dies by that
        raise RuntimeError(f"pytest was started wrongly: see {tree.parent / 'output.txt'}")
    failed = found.get("failed", f"ended with status {status}")
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        failed = "time limit"
    return Outcome(failed, found.get("seconds", 0.0), found.get("lines", {}))


def _wait(child, wall_seconds):
    deadline = time.monotonic() + wall_seconds
    try:
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        return -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _run_here(tree, files, measure):
    import jax
    import pytest

    home = tree.parent
    sys.modules["__main__"] = pytest  # which a test's own processes import again
    os.chdir(tree)
    sys.path[0] = str(tree)
    os.environ |= {"PYTHONPATH": str(tree), "JAX_COMPILATION_CACHE_DIR": str(home / "compiled")}
    jax.config.update("jax_compilation_cache_dir", str(home / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    with open(home / "output.txt", "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    lines = _note_lines(tree) if measure else {}
    first_failure = _FirstFailure()
    options = ["-x", "-q", "-m", "not slow", "-n", "0", "-p", "no:cacheprovider", f"--basetemp={home / 'files'}"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins that are imported before
    status = pytest.main([*options, *files], plugins=[first_failure])
    sys.settrace(None)
    threading.settrace(None)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and not first_failure.name:
        first_failure.name = f"pytest ended with status {int(status)}"
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "failed": first_failure.name,
        "usage_error": status == pytest.ExitCode.USAGE_ERROR,
        "seconds": round(sum(each.ru_utime + each.ru_stime for each in used), 2),
        "lines": {str(Path(path).relative_to(tree)): sorted(run) for path, run in lines.items() if run},
    }


class _FirstFailure:
    name = ""

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.name:
            self.name = report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def _note_lines(tree):
    """Fills in, from now on, the lines of the package that are run in whichever thread, those at its import too."""
    lines = {str(path): set() for path in (tree / "medssl_jax").rglob("*.py")}

    def enter(frame, event, argument):
        run = lines.get(frame.f_code.co_filename)
        if run is None:
            return None
        run.add(frame.f_lineno)

        def step(frame, event, argument):
            run.add(frame.f_lineno)
            return step

        return step

    threading.settrace(enter)
    sys.settrace(enter)
    return lines
