"""SHA256SUMS is what `sha256sum` takes it for, and nothing that differs from it passes."""

import shutil
import subprocess

import pytest

from medssl_jax.core.checksums import SUMS_FILE, check_sums, sealed, sums_text, unsealed
from medssl_jax.core.errors import InputError

NAMES = ("a.json", "b.int16")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "b.int16").write_bytes(bytes(range(256)))
    (tmp_path / SUMS_FILE).write_text(sums_text(tmp_path, NAMES))
    return tmp_path


def test_what_was_written_passes(folder):
    check_sums(folder, NAMES, "start again")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum of the GNU coreutils")
def test_it_is_that_of_sha256sum(folder):
    assert subprocess.check_output(["sha256sum", *NAMES], cwd=folder).decode() == (folder / SUMS_FILE).read_text()


@pytest.mark.parametrize("place", range(0, 256, 17))
def test_every_bit_counts(folder, place):
    data = bytearray((folder / "b.int16").read_bytes())
    data[place] ^= 1 << place % 8
    (folder / "b.int16").write_bytes(data)
    with pytest.raises(InputError, match=rf"{folder}/b\.int16: damaged, or else SHA256SUMS .*: start again$"):
        check_sums(folder, NAMES, "start again")


def test_a_file_without_a_line_or_a_line_without_a_file(folder):
    (folder / "c").touch()
    with pytest.raises(InputError, match="SHA256SUMS: damaged, it has no line of c: start again"):
        check_sums(folder, ["c"], "start again")
    (folder / "a.json").unlink()
    with pytest.raises(InputError, match=r"a\.json: cannot be read: No such file or directory: start again"):
        check_sums(folder, NAMES, "start again")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"a.json", b"\n" * 9])
def test_a_list_that_is_none(folder, content):
    (folder / SUMS_FILE).write_bytes(content)
    with pytest.raises(InputError, match="SHA256SUMS: damaged"):
        check_sums(folder, NAMES, "start again")


def test_a_sealed_line_comes_back_and_no_damaged_one_does():
    written = sealed('{"L\u00f6sche": 1}')
    assert unsealed(written) == '{"L\u00f6sche": 1}'
    for place in range(len(written) - 1):
        assert unsealed(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]) is None
        assert unsealed(written[:place]) is None
