"""However many devices and processes share a batch: the same batch, the same gradient, and little to exchange."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest

from medssl_jax.errors import InputError
from medssl_jax.plan.collectives import read_collectives
from medssl_jax.plan.hlo import read_instructions
from medssl_jax.train.parallel import HERE, place

# What is asked is where things are computed, not how fast: a third of the time to compile is saved.
QUICKLY_COMPILED = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
SCRIPT = Path(__file__).parent / "small_training.py"
ROOT = Path(__file__).parents[2]


def training(folder, *, devices, processes=1, group=16):
    """What `small_training.py` wrote, on `devices` virtual devices of each process."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    started = []
    for index in range(processes):
        told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(processes), "JAX_PROCESS_ID": str(index)}
        environment = plain | QUICKLY_COMPILED | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": str(devices)}
        environment |= told if processes > 1 else {}
        command = [sys.executable, str(SCRIPT), str(folder), str(group)]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in started:
        _, said = process.communicate()
        assert process.returncode == 0, said
    with np.load(folder / "gradient.npz") as gradient:
        leaves = [gradient[name] for name in gradient.files]
    return json.loads((folder / "said.json").read_text()), leaves, (folder / "step.hlo").read_text()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return training(tmp_path_factory.mktemp("one") / "device", devices=1)


def exchanged(hlo, devices):
    """Bytes of every exchange of a step by its kind, the largest first; of those in a loop, each round's."""
    sizes = {}
    for each in read_collectives(read_instructions(hlo), devices):
        sizes.setdefault(each.kind, []).extend([each.stored_bytes] * each.runs)
    return {kind: sorted(found, reverse=True) for kind, found in sizes.items()}


def check_same(found, alone, *, devices, processes, group=16):
    said, gradient, hlo = found
    wanted, plain, _ = alone
    assert (said["devices"], said["hosts"]) == (devices * processes, processes)
    assert said["batches"] == wanted["batches"]
    np.testing.assert_allclose(said["losses"], wanted["losses"], rtol=1e-4)
    largest = max(np.abs(leaf).max() for leaf in plain)
    for ours, theirs in zip(gradient, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * largest)
    # The voxels of a mixing group travel, one channel each; a feature map has 32 at half the side, four times as much.
    sizes = exchanged(hlo, devices * processes)
    added = sizes.pop("all-reduce")
    assert sizes["all-gather"], "MixUp needs the other patches of its group"
    assert all(size <= group * 16**3 * 4 for found in sizes.values() for size in found)
    # Of weights that several levels share, some gradients are added up one by one.
    assert 1 <= sum(added) / sum(leaf.nbytes for leaf in plain) < 1.2


def test_one_device_says_nothing(alone):
    assert not exchanged(alone[2], 1)


def test_eight_devices(alone, tmp_path):
    check_same(training(tmp_path / "eight", devices=8), alone, devices=8, processes=1)


def test_two_processes_of_four_devices(alone, tmp_path):
    check_same(training(tmp_path / "both", devices=4, processes=2), alone, devices=4, processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_two_and_four_devices(alone, tmp_path, devices):
    check_same(training(tmp_path / "some", devices=devices), alone, devices=devices, processes=1)


@pytest.mark.slow
def test_two_mixing_groups_on_one_device_and_on_eight(tmp_path):
    """Groups of eight rows: four devices share one, and each gathers only that."""
    plain = training(tmp_path / "one", devices=1, group=8)
    check_same(training(tmp_path / "eight", devices=8, group=8), plain, devices=8, processes=1, group=8)


def test_slides_on_one_two_four_and_eight_devices(tmp_path):
    """Each device encodes its own patches: gradients and metrics are added up, and nothing else travels."""
    environment = os.environ | QUICKLY_COMPILED | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "8"}
    script = SCRIPT.with_name("small_sos_step.py")
    subprocess.run([sys.executable, str(script), str(tmp_path)], env=environment, check=True, stderr=subprocess.PIPE)
    found = {count: np.load(tmp_path / f"{count}.npz") for count in (1, 2, 4, 8)}
    loss, *plain = (found[1][name] for name in found[1].files)
    largest = max(np.abs(leaf).max() for leaf in plain)
    assert largest > 0
    for count in (2, 4, 8):
        ours_loss, *ours = (found[count][name] for name in found[count].files)
        assert ours_loss == pytest.approx(loss, rel=1e-5)
        for a, b in zip(ours, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * largest)
        sizes = exchanged((tmp_path / f"{count}.hlo").read_text(), count)
        assert sizes.keys() == {"all-reduce"}
        beside_gradients = sum(sizes["all-reduce"]) - sum(leaf.nbytes for leaf in plain)
        assert 0 <= beside_gradients < 100  # metrics, a few bytes each; the patches of one slide are 320


def device_of(process_index):
    device = mock.create_autospec(type(jax.devices()[0]), instance=True)
    device.process_index = process_index
    return device


@pytest.mark.parametrize(
    ("devices", "batches", "expected"),
    [
        ([0] * 8, [8, 8], 8),
        ([0] * 8, [4, 4], 4),
        ([0] * 8, [8, 12], 4),
        ([0] * 7, [8, 8], 4),
        ([0] * 4 + [1] * 4, [4, 4], 4),
        ([0] * 4 + [1] * 2, [8, 8], 4),
    ],
)
def test_as_many_devices_share_a_batch_as_divide_it(devices, batches, expected):
    grid = place([device_of(index) for index in devices], batches=batches, groups=2).mesh.devices
    assert grid.size == expected
    assert grid.shape[0] == 2
    assert len({device.process_index for device in grid.ravel()}) == len(set(devices))


def test_more_hosts_than_rows():
    with pytest.raises(InputError, match=r"a batch of 4 \+ 4 rows cannot be shared by 8 hosts: make it a multiple"):
        place([device_of(index) for index in range(8)], batches=[4, 4])


def test_one_device_needs_no_mesh():
    assert place(jax.devices()[:1], batches=[3]) is HERE
    assert HERE.host_rows(5) == range(5)
