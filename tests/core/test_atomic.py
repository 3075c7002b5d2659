"""A file is whole or as it was before; what goes wrong is one line for a person."""

import errno
import os
import tempfile

import pytest

from medssl_jax.core.atomic import atomic_folder, atomic_path, remove_unfinished, writable_directory
from medssl_jax.core.errors import InputError


def write(path, text, error=None):
    with atomic_path(path) as temporary:
        temporary.write_text(text)
        if error is not None:
            raise error


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_replaces_the_file_only_at_the_end(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("a.nii.gz")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["a.nii.gz"]


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt()])
def test_any_exception_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)):
        write(path, "half", error)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")]
)
def test_full_or_read_only_disk_is_named(tmp_path, code, reason):
    path = tmp_path / "a.txt"
    with pytest.raises(InputError, match=rf"a\.txt: cannot be written: {reason}"):
        write(path, "half", OSError(code, reason))
    assert names_in(tmp_path) == []


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent/a\.txt: cannot be written: No such file"):
        write(tmp_path / "absent" / "a.txt", "x")


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_one_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text((tmp_path / "elsewhere").read_text())


def test_a_folder_appears_whole_in_a_new_place(tmp_path):
    with atomic_folder(f"{tmp_path}/new/folder") as folder:
        (folder / "file").write_text("x")
        assert names_in(tmp_path / "new") == [folder.name]
    assert (tmp_path / "new" / "folder" / "file").read_text() == "x"
    assert names_in(tmp_path / "new") == ["folder"]


def test_it_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.readlink(f"/proc/self/fd/{file}")) or fsync(file))
    monkeypatch.setattr(os, "replace", lambda old, new: done.append(str(new)) or replace(old, new))
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("x")
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "file").write_text("x")
    assert done == [str(temporary), str(tmp_path / "a"), str(folder / "file"), str(tmp_path / "b")]


def test_a_process_that_ends_where_it_writes_leaves_nothing_unfinished(tmp_path):
    def end_while_writing():
        with atomic_folder(tmp_path / "folder") as folder, atomic_path(tmp_path / "b") as half:
            (folder / "file").write_text("half")
            half.write_text("half")
            write(tmp_path / "a", "whole")
            remove_unfinished()
            assert names_in(tmp_path) == ["a"]

    with pytest.raises(InputError):
        end_while_writing()


def test_writable_directory_makes_the_folder_and_leaves_nothing_in_it(tmp_path):
    folder = writable_directory(f"{tmp_path}/new/folder")
    assert folder == tmp_path / "new" / "folder"
    assert names_in(folder) == []


def test_writable_directory_refuses_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="no folder that can be written to"):
        writable_directory(tmp_path / "file")


def test_writable_directory_refuses_a_read_only_disk(tmp_path, monkeypatch):
    temporary_file = tempfile.TemporaryFile

    def refuse(dir=None):
        if dir == tmp_path:
            raise OSError(errno.EROFS, "Read-only file system")
        return temporary_file(dir=dir)

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match="Read-only file system"):
        writable_directory(tmp_path)
