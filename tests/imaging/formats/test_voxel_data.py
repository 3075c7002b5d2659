"""Voxels are read with the memory they take and no more, whatever the format; what may not be read is told so."""

import gzip
import os
import tracemalloc
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.formats.voxel_data import PIECE_BYTES, VoxelData, check_length, read_pieces
from medssl_jax.imaging.volumes import read_grid, read_labels, read_volume

NAMES = ["1.mha", "1.nii", "1.nii.gz", "1.nrrd", "raw.nrrd", "raw.mha"]


def written(path, array, level=1):
    sitk.WriteImage(sitk.GetImageFromArray(array), path, useCompression="raw" not in path.name, compressionLevel=level)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_of_zeros_is_read_with_the_memory_of_its_voxels(tmp_path, name):
    """Deflate makes 1 MB of 1 KB of it: what a bound must let pass."""
    mask = np.zeros((70, 512, 512), np.uint8)
    mask[30, 200:210, 200:210] = 1
    path = written(tmp_path / name, mask, level=9)
    read_grid(path)  # what is imported the first time is not counted
    tracemalloc.start()
    try:
        labels = read_labels(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < mask.nbytes + 8 * PIECE_BYTES
    np.testing.assert_array_equal(labels.array_zyx, mask)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_pieces_join_without_a_seam(tmp_path, name, dtype):
    array = np.random.default_rng(0).integers(-1024, 3000, (3, 301, 601)).astype(dtype)  # no whole number of pieces
    np.testing.assert_array_equal(read_volume(written(tmp_path / name, array)).array_zyx, array)


@pytest.mark.parametrize("name", NAMES)
def test_a_voxel_that_is_no_number_is_refused_in_every_format(tmp_path, name):
    """ITK reads 0 in its place from a NIfTI."""
    array = np.zeros((3, 4, 5), np.float32)
    array[1, 2, 3] = np.nan
    with pytest.raises(InputError, match="values from nan to nan, expected -32768 to 32767"):
        read_volume(written(tmp_path / name, array))


def test_a_scan_takes_no_more_than_the_bound_in_its_own_kind_either(tmp_path):
    """A mask of zeros, read as a scan, has twice the bytes: a small file would cost more memory than it may."""
    path = written(tmp_path / "1.nii.gz", np.zeros((20, 256, 256), np.uint8), level=9)
    read_labels(path)
    with pytest.raises(InputError, match=r"for 2621440 bytes of voxels .* expected at most 1032 times as many"):
        read_volume(path)


def data_in(path, content, *, count=60, compressed=True, before=0):
    path.write_bytes(content)
    return VoxelData(path, 0, np.dtype("u1"), (1, 1, count), f"{count} voxels", compressed, before)


def values(data):
    return np.concatenate(list(read_pieces(data))).tolist()


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
@pytest.mark.parametrize("count", [1, 60, PIECE_BYTES, PIECE_BYTES + 1])
@pytest.mark.parametrize("before", [0, 1, PIECE_BYTES + 3])
def test_a_stream_of_any_length_is_read_to_its_end(tmp_path, pack, count, before):
    content = np.random.default_rng(0).bytes(before + count)
    assert values(data_in(tmp_path / "1", pack(content), count=count, before=before)) == list(content[before:])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zlib.compress(bytes(59)), "only 59 bytes of voxels, expected 60"),
        (zlib.compress(bytes(61)), "more than 60 bytes of voxels, expected 60"),
        (zlib.compress(bytes(60))[:-1], "truncated: does not decompress to all its bytes, expected 60"),
        (zlib.compress(bytes(60))[:-4], "truncated: does not decompress to all its bytes, expected 60"),
        (zlib.compress(bytes(60))[:-1] + b"\0", r"does not decompress \(.*incorrect data check\)"),
        (gzip.compress(bytes(60), mtime=0)[:-1] + b"\1", r"does not decompress \(.*incorrect length check\)"),
        (gzip.compress(bytes(60), mtime=0) + b"\0\0more", "does not decompress"),
        (b"no stream", "does not decompress"),
        (b"", "truncated"),
    ],
)
def test_a_stream_that_is_not_the_voxels(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        values(data_in(tmp_path / "1", content))


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
class TestDamagedStream:
    CONTENT = np.random.default_rng(0).integers(0, 200, 60).astype("u1").tobytes()

    def test_is_refused_wherever_it_is_cut(self, tmp_path, pack):
        packed = pack(self.CONTENT)
        for kept in range(len(packed)):
            with pytest.raises(InputError, match="truncated"):
                values(data_in(tmp_path / "1", packed[:kept]))

    def test_of_a_changed_bit_is_never_read_as_another(self, tmp_path, pack):
        packed = pack(self.CONTENT)
        for place in range(8 * 10 * (pack is gzip.compress), 8 * len(packed)):  # beyond the time and system of gzip
            damaged = bytearray(packed)
            damaged[place // 8] ^= 1 << place % 8
            try:
                found = values(data_in(tmp_path / "1", damaged))
            except InputError:
                continue
            assert found == list(self.CONTENT)  # deflate has a few bits that say nothing


def test_the_bound_is_what_deflate_can_reach(tmp_path):
    longest = zlib.compress(bytes(10**7), 9)
    assert 10**7 / len(longest) > 1000
    check_length(data_in(tmp_path / "1", longest, count=10**7))
    with pytest.raises(InputError, match=r"at most 1032 times"):
        check_length(data_in(tmp_path / "1", longest, count=1032 * len(longest) + 1))


@pytest.mark.parametrize("read", [read_volume, read_labels, read_grid])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_may_not_be_read_is_told(tmp_path, read, name, monkeypatch):
    path = written(tmp_path / name, np.zeros((2, 3, 4), np.uint8))

    def forbidden(self, *_, **__):  # the user of the tests may read everything
        raise PermissionError(13, "Permission denied", os.fspath(self))

    monkeypatch.setattr("pathlib.Path.open", forbidden)
    with pytest.raises(InputError, match=f"{path}: cannot be read: Permission denied: change its rights"):
        read(path)


def test_what_is_missing_is_counted_from_the_first_voxel(tmp_path):
    with pytest.raises(InputError, match="only 0 bytes of voxels, expected 60"):
        values(data_in(tmp_path / "1", zlib.compress(bytes(70)), before=100))
    with pytest.raises(InputError, match="only 59 bytes of voxels, expected 60"):
        values(data_in(tmp_path / "1", zlib.compress(bytes(159)), before=100))


def test_empty_members_of_a_gzip_file_are_passed_over(tmp_path):
    data = data_in(tmp_path / "1", gzip.compress(b"") * 1000 + gzip.compress(bytes(60)) + gzip.compress(b""))
    assert values(data) == [0] * 60
