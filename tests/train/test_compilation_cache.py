"""Where compiled programs are kept: for whom, how many, and what is said where they cannot be."""

import os
from pathlib import Path

import jax
import pytest

from medssl_jax.run_folder import environment
from medssl_jax.train.compilation_cache import ENABLED, FOLDER, SHORTEST, keep_programs, make_room


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    """The cache folder of a user; JAX is set as before when the test ends, and compiles nothing meanwhile."""
    before = {name: getattr(jax.config, name) for name in (FOLDER, ENABLED, SHORTEST)}
    jax.config.update(FOLDER, None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    for name, value in before.items():
        jax.config.update(name, value)


def chosen():
    """The folder that JAX is told, starting from none."""
    jax.config.update(FOLDER, None)
    keep_programs()
    return getattr(jax.config, FOLDER)


def test_below_the_users_cache_folder_and_found_again(user_cache):
    folder = Path(chosen())
    assert folder.is_dir()
    assert folder.parent == user_cache / "medssl_jax" / "programs"
    assert chosen() == str(folder)


@pytest.mark.parametrize("told", [None, "relative"])
def test_below_home_where_no_absolute_folder_is_told(tmp_path, monkeypatch, told):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME")
    if told:
        monkeypatch.setenv("XDG_CACHE_HOME", told)
    assert Path(chosen()).parents[2] == tmp_path / ".cache"


def test_what_the_compiler_goes_by_and_jax_does_not_ask_has_a_folder_of_its_own(monkeypatch):
    def folder_if(name, value):
        with monkeypatch.context() as patch:
            patch.setattr(environment, name, value)
            return chosen()

    version = environment.importlib.metadata.version
    folders = [
        chosen(),
        folder_if("_processor", lambda: "another"),
        folder_if("_threads", lambda: 1000),
        folder_if("_kernel_versions", lambda: {"nvidia-cudnn-cu12": "0"}),
    ]
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda name: "0" if name == "jax" else version(name))
        folders.append(chosen())
    assert len(set(folders)) == 5


def test_what_the_user_has_told_jax_comes_first(user_cache):
    jax.config.update(FOLDER, "mine")
    keep_programs()
    assert getattr(jax.config, FOLDER) == "mine"
    jax.config.update(ENABLED, False)
    assert chosen() is None
    assert not user_cache.exists()


def test_where_nothing_can_be_written_one_line_says_so(user_cache, capsys):
    user_cache.write_text("not a folder")
    assert chosen() is None
    said = capsys.readouterr().err
    assert said.startswith("warning: compiled programs are not kept for the next start: ")
    assert said.count("\n") == 1


def test_a_user_without_a_home_is_told_too(monkeypatch, capsys):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert chosen() is None
    assert capsys.readouterr().err.endswith("Could not determine home directory.; XDG_CACHE_HOME says where\n")


def test_those_that_were_longest_unused_make_room(tmp_path):
    used = {"a/read": (1, 40), "a/old": (20, 20), "b/newest": (50, 50), "b/new": (30, 30)}
    for name, (written, read) in used.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (read, written))

    def left():
        return {path.name for path in tmp_path.rglob("*") if path.is_file()}

    make_room(tmp_path, 400)
    assert left() == {"read", "old", "newest", "new"}
    make_room(tmp_path, 399)
    assert left() == {"read", "newest", "new"}
    make_room(tmp_path, 100)
    assert left() == {"newest"}
