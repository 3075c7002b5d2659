"""What is sampled is in the volume, and tells apart what differs."""

import shutil

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.data_check.sampling import SAMPLED_SLICES, sample_volume, sampled_slices, summarise
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, read_volume, write_metaimage

GRID = Grid((30, 16, 16), (1.0, 0.7, 0.7), (3.0, 4.0, 5.0), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))


def noise(seed=0, grid=GRID):
    return np.random.default_rng(seed).integers(-1000, 1000, grid.size_zyx).astype(np.int16)


def sample_of(array):
    return summarise(array[sampled_slices(len(array))], Grid(array.shape, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 300])
def test_slices_are_spread_from_first_to_last(count):
    slices = sampled_slices(count)
    assert slices[0] == 0
    assert slices[-1] == count - 1
    assert len(slices) == min(count, SAMPLED_SLICES)
    assert np.ptp(np.diff(slices)) <= 1 if count > 1 else True


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_is_sampled_as_the_array_that_is_read_from_it(tmp_path, compress):
    write_metaimage(tmp_path / "scan.mhd", Volume(noise(), GRID, "scan"), compress=compress)
    array = read_volume(tmp_path / "scan.mhd").array_zyx
    assert sample_volume(tmp_path / "scan.mhd") == summarise(array[sampled_slices(30)], GRID)


def test_another_kind_of_file_of_the_same_voxels_has_the_same_digest(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    write_metaimage(tmp_path / "scan.mhd", Volume(noise(), GRID, "scan"))
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "scan.mhd")), str(tmp_path / "other.nrrd"))
    one, other = sample_volume(tmp_path / "scan.mhd"), sample_volume(tmp_path / "other.nrrd")
    assert one.digest == other.digest
    assert sample_of(noise(1)).digest != one.digest


def test_real_slices_of_a_dicom_series(shared_data):
    folder = shared_data / "ct" / "lidc_idri_0003"
    volume = read_volume(folder)
    assert sample_volume(folder) == summarise(volume.array_zyx[sampled_slices(11)], volume.grid)
    assert sample_volume(folder).padding_hu == -2048


@pytest.mark.parametrize("padding", [-2048, -3024])
def test_padding_is_told_from_values(padding):
    array = noise()
    array[:, :4] = padding
    sample = sample_of(array)
    assert sample.padding_hu == padding
    assert sample.padding_share == pytest.approx(0.25)
    assert sample.lowest_hu >= -1000


def test_a_few_low_values_are_no_padding():
    array = noise(grid=Grid((30, 64, 64), (1.0, 1.0, 1.0)))
    array[0, 0, :3] = -3000
    assert sample_of(array).padding_hu is None
    assert sample_of(array).lowest_hu == -3000


def test_nan_is_seen_and_left_out():
    array = noise().astype(np.float32)
    array[0, 0, 0] = np.nan
    sample = sample_of(array)
    assert sample.has_nan
    assert -1000 <= sample.lowest_hu < sample.highest_hu < 1000
    assert np.isnan(sample_of(np.full((3, 2, 2), np.nan, np.float32)).lowest_hu)


def test_a_damaged_file_is_named(tmp_path):
    write_metaimage(tmp_path / "scan.mhd", Volume(noise(), GRID, "scan"))
    (tmp_path / "scan.raw").write_bytes(b"")
    with pytest.raises(InputError, match=r"scan\.raw: truncated"):
        sample_volume(tmp_path / "scan.mhd")


def test_a_damaged_slice_is_named(shared_data, tmp_path):
    folder = shutil.copytree(shared_data / "ct" / "lidc_idri_0003", tmp_path / "series")
    path = sorted(folder.glob("*.dcm"))[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=path.name):
        sample_volume(folder)
