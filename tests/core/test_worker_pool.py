"""Results of all items, an end at the first exception, and no worker left behind."""

import os
import subprocess
import sys

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.core.worker_pool import results_as_completed


@pytest.mark.parametrize("workers", [1, 2])
def test_all_results_come(workers):
    assert sorted(results_as_completed(abs, [-3, 1, -2], workers=workers)) == [1, 2, 3]


def test_nothing_to_do():
    assert list(results_as_completed(abs, [], workers=4)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_passes_through(workers):
    with pytest.raises(ValueError, match="abc"):
        list(results_as_completed(int, ["1", "abc"], workers=workers))


def test_one_worker_begins_an_item_when_it_is_asked_for():
    begun = []
    results = results_as_completed(begun.append, [1, 2, 3], workers=1)
    next(results)
    assert begun == [1]


def test_a_killed_worker_is_said():
    with pytest.raises(InputError, match=r"a worker process ended before .*memory ran out.*fewer workers"):
        list(results_as_completed(os._exit, [1, 1], workers=2))


def test_a_script_without_its_guard_is_told_of_it(tmp_path):
    script = "from medssl_jax.core.worker_pool import results_as_completed\n"
    (tmp_path / "work.py").write_text(script + "list(results_as_completed(abs, [1, 2], workers=2))\n")
    ended = subprocess.run([sys.executable, tmp_path / "work.py"], capture_output=True, text=True, timeout=60)
    last = ended.stderr.splitlines()[-1]
    assert ended.returncode == 1
    assert last.startswith("medssl_jax.core.errors.InputError: a worker process ended before its work was done: ")
    assert 'without the line `if __name__ == "__main__":`' in last


WORK = """
import os
import time
from medssl_jax.core.worker_pool import results_as_completed

def work(seconds):
    os.write(1, b"at work\\n")  # in one go, where print() may take two
    time.sleep(seconds)

if __name__ == "__main__":
    list(results_as_completed(work, [0, 60, 60], workers=2))
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    parent = subprocess.Popen([sys.executable, tmp_path / "work.py"], stdout=subprocess.PIPE)
    for _ in range(3):
        assert parent.stdout.readline() == b"at work\n"
    parent.kill()
    # The pipe ends when nobody has it any more: neither the parent nor a worker.
    assert parent.communicate(timeout=20)[0] == b""
