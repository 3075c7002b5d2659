"""Everything besides config and data that the bits of a run depend on: code, devices, versions, settings."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from flax.traverse_util import flatten_dict

import medssl_jax
from medssl_jax.core.versions import versions
from medssl_jax.parallel import hosts
from medssl_jax.parallel.determinism import is_deterministic

CHECKOUT = Path(medssl_jax.__file__).parents[1]
CODE = ("medssl_jax", "data_builders", "experiments")
PACKAGES = ("jaxlib", "flax", "optax", "orbax-checkpoint", "grain")
# These hold the kernels of an accelerator; where they are not installed, they have no version.
KERNEL_PACKAGES = ("jax-cuda12-plugin", "jax-cuda13-plugin", "nvidia-cudnn-cu12", "nvidia-cublas-cu12", "libtpu")
JAX_SETTINGS = ("jax_default_matmul_precision", "jax_default_prng_impl", "jax_enable_x64", "jax_threefry_partitionable")


def environment_of(devices: Sequence[jax.Device]) -> dict[str, Any]:
    """Code, devices, versions and settings of a run on `devices` in this process, as JSON holds them."""
    first = devices[0]
    described = {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": len(devices),
        "processes": hosts.count(),
        "runtime": " ".join(first.client.platform_version.split()),
    }
    if first.platform == "cpu":
        # Threads share out sums, and code is compiled for the instructions of the processor.
        described |= {"kind": _processor(), "threads": _threads(), "per_process": jax.local_device_count()}
    return {
        "code": dict(_code()),
        "devices": described,
        "versions": versions(PACKAGES) | _kernel_versions(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "deterministic": is_deterministic(),
        "jax": {name.removeprefix("jax_"): getattr(jax.config, name) for name in JAX_SETTINGS},
    }


def compiled_for() -> dict[str, Any]:
    """Processor, threads and versions that compiled programs depend on; no device is touched."""
    own = {"processor": _processor(), "threads": _threads(), "jax": importlib.metadata.version("jax")}
    return own | _kernel_versions()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lists the fields in which two environments differ, each as `field: value then, value now`.

    Another commit with the same sources is no difference.
    """
    found = []
    if then["code"]["sources_sha256"] != now["code"]["sources_sha256"]:
        found.append(f"code: {_commit(then['code'])} then, {_commit(now['code'])} now")
    old, new = (
        flatten_dict({name: value for name, value in each.items() if name != "code"}, sep=".") for each in (then, now)
    )
    for field in sorted(old.keys() | new.keys()):
        if old.get(field) != new.get(field):
            found.append(f"{field}: {old.get(field)} then, {new.get(field)} now")
    return found


def restore_settings(then: Mapping[str, Any]) -> list[str]:
    """Sets JAX and XLA as a recorded environment has them; call it before JAX is used.

    Returns the settings that it changed, each as `name=value`. `differences` finds those that cannot be set, such as
    code and devices.
    """
    devices = then["devices"]
    variables = {"XLA_FLAGS": then["xla_flags"]}
    settings = {f"jax_{name}": value for name, value in then["jax"].items()}
    if devices["platform"] == "cpu":
        settings |= {"jax_platforms": "cpu", "jax_num_cpu_devices": devices["per_process"]}
        if devices["threads"] != _threads():
            variables["NPROC"] = str(devices["threads"])
    changed = [f"{name}={value}" for name, value in variables.items() if os.environ.get(name, "") != value]
    os.environ.update(variables)
    for name, value in settings.items():
        if getattr(jax.config, name) != value:
            changed.append(f"{name}={value}")
            jax.config.update(name, value)
    return changed


def _commit(code: Mapping[str, Any]) -> str:
    if code["commit"] is None:
        return f"no commit ({code['why_no_commit']})"
    return f"commit {code['commit'][:12]}" + ("" if code["is_clean"] else " with changes")


@functools.cache
def _code() -> Mapping[str, Any]:
    """Commit of the checkout that holds this package, whether its sources are as committed, and their hash."""
    digest = hashlib.sha256()
    for path in sorted(path for package in CODE for path in (CHECKOUT / package).rglob("*.py")):
        digest.update(
            f"{path.relative_to(CHECKOUT).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()} ".encode()
        )
    found = {"commit": None, "is_clean": None, "why_no_commit": None, "sources_sha256": digest.hexdigest()}
    try:
        if Path(_git("rev-parse", "--show-toplevel")) != CHECKOUT.resolve():
            return found | {"why_no_commit": "installed outside its repository"}
        return found | {"commit": _git("rev-parse", "HEAD"), "is_clean": not _git("status", "--porcelain", "--", *CODE)}
    except FileNotFoundError:
        return found | {"why_no_commit": "git is not installed"}
    except subprocess.CalledProcessError as error:
        return found | {"why_no_commit": error.stderr.strip().partition("\n")[0]}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _kernel_versions() -> dict[str, str]:
    found = {}
    for name in KERNEL_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _threads() -> int:
    """The size of XLA's thread pool: the processors that this process may use, unless `NPROC` says otherwise."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("NPROC", "")
    return int(told) if told.isdigit() and int(told) else usable
