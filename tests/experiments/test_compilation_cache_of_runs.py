"""A run started again takes its programs from the user's cache, and computes the same bits with them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medssl_jax.run_folder.tensor_hashes import FILE_NAME

COUNTED = """
import atexit, collections, json, runpy, sys
import jax
from medssl_jax.train import compilation_cache

compilation_cache.MIN_COMPILE_SECONDS = 0
counts = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: counts.update([event.rpartition("/")[2]]))
atexit.register(lambda: print("\\n" + json.dumps(counts)))
runpy.run_module("experiments.focalmix", run_name="__main__", alter_sys=True)
"""
TINY = (
    "--config=tiny.py",
    "--config.steps=4",
    "--config.logging.log_every=1",
)


def start(folder, *flags):
    """A run of the tiny config; returns how often JAX looked for a program among those kept, and found it."""
    told = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, *TINY, *flags],
        cwd=folder,
        env=told | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    return counts["compile_requests_use_cache"], counts.get("cache_hits", 0)


@pytest.mark.slow
def test_the_second_start_compiles_nothing_and_gives_the_same_bits(tmp_path):
    shutil.copy(Path(__file__).with_name("small_phantom.py"), tmp_path / "tiny.py")
    asked, found = start(tmp_path, "--workdir=fresh")
    assert found < asked
    asked, found = start(tmp_path, "--workdir=again")
    assert found == asked
    asked, found = start(tmp_path, "--workdir=plain", "--nocompilation_cache")
    assert found == 0 < asked
    for name in (FILE_NAME, "submission.csv", "froc.json"):
        fresh = (tmp_path / "plain" / name).read_bytes()
        assert (tmp_path / "fresh" / name).read_bytes() == (tmp_path / "again" / name).read_bytes() == fresh
