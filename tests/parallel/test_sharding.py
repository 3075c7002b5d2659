"""However many devices and processes share a batch: the same batch, the same gradient, and little to exchange."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.parallel.sharding import SINGLE_DEVICE, data_parallel
from medssl_jax.plan.collectives import KINDS, read_collectives
from medssl_jax.plan.hlo import read_program

# What is asked is where things are computed, not how fast: a third of the time to compile is saved.
QUICKLY_COMPILED = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
FOCALMIX, SLIDES = (Path(__file__).with_name(name) for name in ("small_training.py", "small_sos_step.py"))
ROOT = Path(__file__).parents[2]


def start(script, *arguments, devices, processes=1):
    """Runs `script` to its end in `processes` of `devices` virtual devices each."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    started = []
    for index in range(processes):
        told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(processes), "JAX_PROCESS_ID": str(index)}
        environment = plain | QUICKLY_COMPILED | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": str(devices)}
        environment |= told if processes > 1 else {}
        command = [sys.executable, str(script), *map(str, arguments)]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in started:
        _, said = process.communicate()
        assert process.returncode == 0, said


def trainings(folder, counts, *, processes=1, group=16):
    """What `small_training.py` wrote of each number of devices."""
    start(FOCALMIX, folder, group, *counts, devices=max(counts) // processes, processes=processes)
    found = {}
    for count in counts:
        written = folder / str(count)
        with np.load(written / "gradient.npz") as gradient:
            leaves = [gradient[name] for name in gradient.files]
        found[count] = json.loads((written / "said.json").read_text()), leaves, (written / "step.hlo").read_text()
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """On one device and on eight."""
    return trainings(tmp_path_factory.mktemp("trained"), [1, 8])


def exchanged(hlo, devices):
    """Bytes of every exchange of a step by its kind, the largest first; none is in a loop, which would hide rounds."""
    assert not re.search(rf' ({"|".join(KINDS)})(-start)?\(.*op_name="[^"]*/while/', hlo)
    sizes = {}
    for each in read_collectives(read_program(hlo), devices):
        sizes.setdefault(each.kind, []).append(each.stored_bytes)
    return {kind: sorted(found, reverse=True) for kind, found in sizes.items()}


def check_same(found, alone, *, devices, processes=1, group=16):
    said, gradient, hlo = found
    wanted, plain, _ = alone
    assert (said["devices"], said["hosts"]) == (devices, processes)
    assert said["batches"] == wanted["batches"]
    np.testing.assert_allclose(said["losses"], wanted["losses"], rtol=1e-4)
    largest = max(np.abs(leaf).max() for leaf in plain)
    for ours, theirs in zip(gradient, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * largest)
    # The voxels of a mixing group travel, one channel each; a feature map has 32 at half the side, four times as much.
    sizes = exchanged(hlo, devices)
    added = sizes.pop("all-reduce")
    assert sizes["all-gather"], "MixUp needs the other patches of its group"
    assert all(size <= group * 16**3 * 4 for found in sizes.values() for size in found)
    # Of weights that several levels share, some gradients are added up one by one.
    assert 1 <= sum(added) / sum(leaf.nbytes for leaf in plain) < 1.2


def test_one_device_says_nothing(trained):
    assert not exchanged(trained[1][2], 1)


def test_eight_devices(trained):
    check_same(trained[8], trained[1], devices=8)


@pytest.mark.slow
def test_two_processes_of_four_devices(trained, tmp_path):
    check_same(trainings(tmp_path, [8], processes=2)[8], trained[1], devices=8, processes=2)


@pytest.mark.slow
def test_two_and_four_devices(trained, tmp_path):
    for count, found in trainings(tmp_path, [2, 4]).items():
        check_same(found, trained[1], devices=count)


@pytest.mark.slow
def test_two_mixing_groups_on_one_device_and_on_eight(tmp_path):
    """Groups of eight rows: four devices share one, and each gathers only that."""
    found = trainings(tmp_path, [1, 8], group=8)
    check_same(found[8], found[1], devices=8, group=8)


def sos_step(folder, count):
    """Loss, gradient and exchanges that `small_sos_step.py` wrote of a number of devices."""
    with np.load(folder / f"{count}.npz") as written:
        loss, *gradient = (written[name] for name in written.files)
    return loss, gradient, exchanged((folder / f"{count}.hlo").read_text(), count)


def check_same_sos_step(found, alone):
    """Each device encodes its own patches: gradients and metrics are added up, and nothing else travels."""
    loss, gradient, sizes = found
    plain_loss, plain, _ = alone
    largest = max(np.abs(leaf).max() for leaf in plain)
    assert largest > 0
    assert loss == pytest.approx(plain_loss, rel=1e-5)
    for a, b in zip(gradient, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * largest)
    assert sizes.keys() == {"all-reduce"}
    beside_gradients = sum(sizes["all-reduce"]) - sum(leaf.nbytes for leaf in plain)
    assert 0 <= beside_gradients < 100  # metrics, a few bytes each; the patches of one slide are 320


@pytest.fixture(scope="module")
def slides_alone(tmp_path_factory):
    """The step on one device, and the folder that holds it and the one on eight."""
    folder = tmp_path_factory.mktemp("slides")
    start(SLIDES, folder, 1, 8, devices=8)
    return sos_step(folder, 1), folder


def test_slides_on_eight_devices(slides_alone):
    alone, folder = slides_alone
    check_same_sos_step(sos_step(folder, 8), alone)


def test_slides_in_two_processes(slides_alone, tmp_path):
    start(SLIDES, tmp_path, 2, devices=1, processes=2)
    check_same_sos_step(sos_step(tmp_path, 2), slides_alone[0])


@pytest.mark.slow
def test_slides_on_two_and_four_devices(slides_alone, tmp_path):
    start(SLIDES, tmp_path, 2, 4, devices=4)
    for count in (2, 4):
        check_same_sos_step(sos_step(tmp_path, count), slides_alone[0])


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
    grid = data_parallel([device_of(index) for index in devices], batches=batches, groups=2).mesh.devices
    assert grid.size == expected
    assert grid.shape[0] == 2
    assert len({device.process_index for device in grid.ravel()}) == len(set(devices))


def test_more_hosts_than_rows():
    with pytest.raises(InputError, match=r"a batch of 4 \+ 4 rows cannot be shared by 8 hosts: make it a multiple"):
        data_parallel([device_of(index) for index in range(8)], batches=[4, 4])


def test_one_device_needs_no_mesh():
    assert data_parallel(jax.devices()[:1], batches=[3]) is SINGLE_DEVICE
    assert SINGLE_DEVICE.host_rows(5) == range(5)


def test_one_device_that_is_not_here_is_not_mistaken_for_the_one_that_is():
    """A chip that is only compiled for."""
    absent = device_of(0)
    assert data_parallel([absent], batches=[3]).devices == [absent]
