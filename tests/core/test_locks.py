"""One process at a time: the others wait, or are told which one is there."""

import errno
import fcntl
import os
import socket
import threading

import pytest

from medssl_jax.core import locks
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import alone, exclusive, if_free


def test_a_second_waits_until_the_first_is_done_and_says_so(tmp_path, capsys):
    with exclusive(tmp_path, "preparing"):
        held = os.open(tmp_path / ".lock", os.O_RDONLY)  # as another process has it
    fcntl.flock(held, fcntl.LOCK_EX)
    events = []
    first = threading.Timer(0.2, lambda: (events.append("first is done"), os.close(held)))
    assert capsys.readouterr().err == ""
    first.start()
    with exclusive(tmp_path, "preparing"):
        events.append("second is within")
    first.join()
    assert events == ["first is done", "second is within"]
    assert capsys.readouterr().err == f"waiting: another process is preparing {tmp_path}\n"
    assert os.listdir(tmp_path) == [".lock"]


def test_a_second_is_refused_and_told_of_the_first(tmp_path):
    me = f"process {os.getpid()} on {socket.gethostname()}, since "
    for _ in range(2):  # nothing is left of the first time
        with alone(tmp_path, "running in"), pytest.raises(InputError) as refused, alone(tmp_path, "running in"):
            pass
        told = str(refused.value)
        assert told.startswith(f"{tmp_path}: {me}2")
        assert told.endswith(", is running in it: wait until it has ended, or choose another folder")
        assert told.count(me) == 1
    assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.parametrize(
    ("left", "seconds"), [("", 0.05), ("", 0.25), ("process 1 on another, since yesterday,", 0.02)]
)
def test_the_first_is_named_though_it_has_only_just_begun(tmp_path, left, seconds):
    """It has the lock, and not yet written its name over that of one who was killed."""
    (tmp_path / ".lock").write_text(left)
    with open(tmp_path / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        writes = threading.Timer(seconds, (tmp_path / ".lock").write_text, ["process 7 on this,"])
        writes.start()
        with pytest.raises(InputError, match="process 7 on this, is running in it"), alone(tmp_path, "running in"):
            pass
        writes.join()


def test_one_without_a_name_is_another_process(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "LOOKS", 2)
    (tmp_path / ".lock").touch()
    with open(tmp_path / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=": another process is running in it"), alone(tmp_path, "running in"):
            pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.parametrize("lock", [exclusive, alone, if_free])
def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch, lock, code):
    refuse(monkeypatch, code)
    told = r"cannot be locked \(.*\), so another process could be running in it: choose"
    with pytest.raises(InputError, match=told), lock(tmp_path, "running in"):
        pass


def test_who_waits_does_not_erase_the_name_of_who_is_there(tmp_path):
    with alone(tmp_path, "running in"):
        name = (tmp_path / ".lock").read_text()
        waiting = threading.Thread(target=lambda: exclusive(tmp_path, "preparing").__enter__(), daemon=True)
        waiting.start()
        waiting.join(0.2)
        with if_free(tmp_path, "training in") as is_ours:
            assert not is_ours
        assert waiting.is_alive()
        assert (tmp_path / ".lock").read_text() == name != ""
    waiting.join(10)
    assert not waiting.is_alive()


def test_what_else_goes_wrong_is_no_lack_of_locks(tmp_path, monkeypatch):
    refuse(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"), alone(tmp_path, "running in"):
        pass


def refuse(monkeypatch, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
