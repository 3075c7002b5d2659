"""Commit and state of a real checkout, and what counts as a difference between two starts of a run."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from medssl_jax.run_folder import environment as module
from medssl_jax.run_folder.environment import differences, environment_of


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """What is told of a checkout with one module in each package; all are folders below `code.root`."""
    root = tmp_path / "checkout"
    for package in module.CODE:
        (root / package).mkdir(parents=True)
        (root / package / "module.py").write_text(f"name = '{package}'\n")
    monkeypatch.setattr(module, "CHECKOUT", root)

    def told():
        module._code.cache_clear()
        return environment_of(jax.devices())["code"]

    told.root = root
    yield told
    module._code.cache_clear()


@pytest.fixture
def committed(code):
    git(code.root, "init", "-q")
    git(code.root, "add", ".")
    git(code.root, "commit", "-qm", "first")
    return code


def test_a_clean_checkout(committed):
    told = committed()
    assert told["commit"] == git(committed.root, "rev-parse", "HEAD")
    assert told["is_clean"]
    assert told["why_no_commit"] is None


def test_a_changed_and_an_added_source_are_not_clean_but_other_files_are(committed):
    clean = committed()
    (committed.root / "README.md").write_text("words")
    assert committed() == clean
    added = committed.root / "experiments" / "new.py"
    added.write_text("")
    assert not committed()["is_clean"]
    added.unlink()
    (committed.root / "medssl_jax" / "module.py").write_text("name = 1\n")
    changed = committed()
    assert not changed["is_clean"]
    assert changed["commit"] == clean["commit"]
    assert changed["sources_sha256"] != clean["sources_sha256"]


def test_without_a_checkout_the_reason_is_told(code, monkeypatch):
    assert code()["commit"] is None
    assert "not a git repository" in code()["why_no_commit"]
    git(code.root.parent, "init", "-q")  # an environment inside a repository of something else
    assert code()["why_no_commit"] == "installed outside its repository"
    monkeypatch.setenv("PATH", "")
    assert code()["why_no_commit"] == "git is not installed"
    assert code()["commit"] is code()["is_clean"] is None


def test_nothing_differs_from_itself():
    now = environment_of(jax.devices())
    assert differences(now, copy.deepcopy(now)) == []


def test_each_thing_that_changes_bits_is_a_difference():
    then = environment_of(jax.devices())
    for section, field in (("devices", "count"), ("devices", "threads"), ("versions", "jaxlib"), ("jax", "enable_x64")):
        now = copy.deepcopy(then)
        now[section][field] = "other"
        assert differences(then, now) == [f"{section}.{field}: {then[section][field]} then, other now"]
    assert differences(then, then | {"xla_flags": "--x=1"}) == [f"xla_flags: {then['xla_flags']} then, --x=1 now"]


def test_the_sources_count_and_not_the_commit():
    then = {"code": {"commit": "a" * 40, "is_clean": True, "why_no_commit": None, "sources_sha256": "1"}}
    words_only = {"code": then["code"] | {"commit": "b" * 40}}
    assert differences(then, words_only) == []
    edited = {"code": then["code"] | {"is_clean": False, "sources_sha256": "2"}}
    assert differences(then, edited) == [f"code: commit {'a' * 12} then, commit {'a' * 12} with changes now"]


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells the name of its processor so")
def test_a_cpu_is_named_by_its_model():
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kind = environment_of(jax.devices())["devices"]["kind"]
    assert kind == names[0].strip() if names else kind


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells which processors may be used")
def test_threads_are_those_that_xla_starts(monkeypatch):
    """XLA's pool is as large as the set of processors the process may use, or as NPROC says."""
    monkeypatch.delenv("NPROC", raising=False)
    assert environment_of(jax.devices())["devices"]["threads"] == len(os.sched_getaffinity(0))
    monkeypatch.setenv("NPROC", "3")
    assert environment_of(jax.devices())["devices"]["threads"] == 3


def test_settings_are_restored_before_jax_starts():
    script = (
        "import jax, json, sys; from medssl_jax.run_folder.environment import restore_settings, environment_of;"
        "then = json.loads(sys.argv[1]); print(json.dumps(then and restore_settings(then)));"
        "print(json.dumps(environment_of(jax.devices())))"
    )

    def told(then, **environment):
        command = [sys.executable, "-c", script, json.dumps(then)]
        plain = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
        done = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    flags = {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true --xla_force_host_platform_device_count=4"}
    _, then = told(None, **flags, NPROC="5", JAX_DEFAULT_MATMUL_PRECISION="highest")
    assert (then["devices"]["count"], then["devices"]["threads"], then["deterministic"]) == (4, 5, True)
    changed, now = told(then, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert differences(then, now) == []
    assert changed[0] == f"XLA_FLAGS={flags['XLA_FLAGS']}"
    assert "jax_default_matmul_precision=highest" in changed
    # What the variables of the shell told then, the record tells now.
    _, then = told(None, JAX_NUM_CPU_DEVICES="3")
    changed, now = told(then)
    assert changed == ["jax_num_cpu_devices=3"]
    assert differences(then, now) == []
