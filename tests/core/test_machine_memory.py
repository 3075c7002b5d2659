"""The memory of machines and of containers."""

import psutil
import pytest

from medssl_jax.core import machine_memory


@pytest.mark.parametrize(("text", "limit"), [("1000000\n", 1_000_000), ("max\n", None), ("9223372036854771712", None)])
def test_a_container_may_have_less(tmp_path, monkeypatch, text, limit):
    (tmp_path / "memory.max").write_text(text)
    absent = tmp_path / "absent" / "memory.limit_in_bytes"
    monkeypatch.setattr(machine_memory, "CONTAINER_LIMITS", (absent,))
    machine = machine_memory.machine_memory_bytes()
    monkeypatch.setattr(machine_memory, "CONTAINER_LIMITS", (absent, tmp_path / "memory.max"))
    assert machine_memory.machine_memory_bytes() == (limit or machine)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 5000),
        ({"memory.max": "max", "memory.current": "700"}, 5000),
        ({"memory.max": "1000", "memory.current": "700"}, 300),
        ({"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 500\ninactive_file 150"}, 450),
        ({"memory.max": "9000", "memory.current": "700"}, 5000),
        ({"memory.max": "1000", "memory.current": "1100"}, 0),
        (
            {
                "memory.limit_in_bytes": "1000",
                "memory.usage_in_bytes": "600",
                "memory.stat": "inactive_file 1\ntotal_inactive_file 100",
            },
            500,
        ),
    ],
    ids=["machine", "no limit", "container", "with files", "more than there is", "beyond", "older kernel"],
)
def test_free_is_what_neither_machine_nor_container_has_in_use(tmp_path, monkeypatch, files, free):
    available = psutil.virtual_memory()._replace(available=5000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    limits = tuple(tmp_path / path.name for path in machine_memory.CONTAINER_LIMITS)
    monkeypatch.setattr(machine_memory, "CONTAINER_LIMITS", limits)
    assert machine_memory.free_memory_bytes() == free
