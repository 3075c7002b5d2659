"""The memory of devices and of containers."""

import jax
import pytest

from medssl_jax.parallel import device_memory


def test_a_cpu_has_that_of_the_machine():
    (device,) = jax.devices("cpu")[:1]
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 2**20 < device_memory.memory_bytes(device) <= total


@pytest.mark.parametrize(("text", "limit"), [("1000000\n", 1_000_000), ("max\n", None), ("9223372036854771712", None)])
def test_a_container_may_have_less(tmp_path, monkeypatch, text, limit):
    (tmp_path / "limit").write_text(text)
    monkeypatch.setattr(device_memory, "CONTAINER_LIMITS", (tmp_path / "absent",))
    machine = device_memory.machine_memory_bytes()
    monkeypatch.setattr(device_memory, "CONTAINER_LIMITS", (tmp_path / "absent", tmp_path / "limit"))
    assert device_memory.machine_memory_bytes() == (limit or machine)
