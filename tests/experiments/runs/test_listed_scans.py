"""Scans are found by their series, whatever they are stored as, and opened as those that were trained on."""

import numpy as np
import pytest

from experiments.runs.listed_scans import ListedScans
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import prepare_volume
from medssl_jax.imaging.volumes import Volume, read_volume, write_metaimage


def test_files_and_dicom_series_are_found_by_their_uids(tmp_path, write_series, small_chest):
    volume = small_chest()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write_metaimage(tmp_path / "deep" / "er" / "1.2.9.mhd", Volume(volume.array_zyx, volume.grid, "1.2.9"))
    stored = np.random.default_rng(0).integers(0, 2000, (20, 16, 16)).astype(np.int16)
    write_series(tmp_path / "study" / "series", stored=stored, SeriesInstanceUID="1.2.7")
    scans = ListedScans(tmp_path, ["1.2.7", "1.2.9"])
    for uid, path in (("1.2.9", tmp_path / "deep" / "er" / "1.2.9.mhd"), ("1.2.7", tmp_path / "study" / "series")):
        seen, read = scans(uid), read_volume(path)
        mask = Volume(np.ones_like(read.array_zyx, np.uint8), read.grid, uid)
        prepared = prepare_volume(read, mask, np.zeros((0, 3)), np.zeros(0))
        np.testing.assert_array_equal(seen.hu_zyx, prepared.hu)
        assert seen.grid == prepared.grid
    with pytest.raises(InputError, match=r"^--scans=.*: 2 of 3 listed series are not there, such as 1\.3"):
        ListedScans(tmp_path, ["1.2.7", "1.3", "1.4"])
