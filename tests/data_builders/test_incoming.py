"""What a clinic hands over, in small: which scans are found in it, their names, and what is said of the rest."""

import os
import re
import shutil
import struct
import zipfile

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_builders.incoming.find import find_scans
from data_builders.incoming.names import in_shard, parse_shard, result_names
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.dicom.series import read_series
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, read_volume, write_metaimage


def write_volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_metaimage(path, Volume(np.zeros((4, 5, 6), np.int16), Grid((4, 5, 6), (1.0, 1.0, 1.0)), path.stem))


def zipped(folder, archive):
    return shutil.make_archive(str(archive.with_suffix("")), "zip", folder)


def names(incoming):
    return [scan.name for scan in incoming.scans]


@pytest.fixture
def study(tmp_path, write_series):
    """A study of four series two levels down: a localizer, a thick, a thin soft and a thin sharp reconstruction."""
    folder = tmp_path / "Patient 7" / "Study A"
    write_series(folder / "scout", slices=2, SeriesInstanceUID="1.9", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(folder / "thick", slices=32, distance_mm=5.0, SeriesInstanceUID="1.1")
    write_series(folder / "thin", slices=33, distance_mm=1.0, SeriesInstanceUID="1.2")
    write_series(folder / "sharp", slices=34, distance_mm=1.0, SeriesInstanceUID="1.3", ConvolutionKernel="LUNG")
    return tmp_path / "Patient 7"


def test_a_study_gives_the_series_of_nlsts_rule_and_a_line_for_each_other(study):
    incoming = find_scans(study)
    (scan,) = incoming.scans
    assert (scan.series_uid, scan.path, scan.name) == ("1.2", study / "Study A" / "thin", "study-a-thin")
    told = {origin.split()[1]: reason for origin, reason in incoming.left_out}
    assert told["A/scout"].startswith("localizer:")
    assert told["A/thick"] == told["A/sharp"]
    assert told["A/thick"] == "another reconstruction: 1.2 stands for this study, in Study A/thin"
    assert incoming.refused == ()


def test_a_zip_is_read_as_the_folder_in_it_and_leaves_nothing(study, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    archive = tmp_path / "export.zip"
    zipped(study, archive)
    (scan,) = find_scans(archive).scans
    (plain,) = find_scans(study).scans
    assert (scan.origin, scan.name) == ("export.zip/Study A/thin", "export-study-a-thin")
    assert scan.digest == plain.digest
    with scan.opened() as folder:
        assert read_series(folder, scan.series_uid).grid == read_series(plain.path, plain.series_uid).grid
    assert list((tmp_path / "scratch").iterdir()) == []


def test_one_file_stands_for_its_series(study, write_series):
    folder = study / "Study A" / "thin"
    write_series(study / "other", slices=7, SeriesInstanceUID="1.5")
    for path in (study / "other").iterdir():
        path.rename(folder / f"other-{path.name}")
    path = next(path for path in folder.iterdir() if path.name.startswith("1-"))
    (scan,) = find_scans(path).scans
    assert (scan.series_uid, scan.path, scan.origin) == ("1.2", folder, path.name)


def test_a_tree_of_mixed_kinds_with_broken_ones(tmp_path, write_series):
    tree = tmp_path / "tree"
    write_volume(tree / "a" / "CT.mhd")
    write_volume(tree / "b" / "ct.mhd")
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.eye(4)), tree / "b" / "head.nii.gz")
    write_series(tree / "c" / "slab", slices=8)
    (tree / "c" / "cut.mha").write_bytes(b"ObjectType = Image\n")
    gap = write_series(tree / "d", slices=9, StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1")
    next(path for path in gap.iterdir() if path.name == "1-058.dcm").unlink()  # the fifth of nine
    (tree / "e.zip").write_bytes(b"PK no more")
    (tree / "letter.docx").write_bytes(b"x")
    (tree / "notes.txt").write_bytes(b"x")
    incoming = find_scans(tree)
    assert names(incoming) == ["a-ct", "b-ct", "b-head", "c-slab"]
    assert [told.origin.split()[0] for told in incoming.refused] == ["c/cut.mha", "e.zip", "d"]
    assert "slice missing" in incoming.refused[2].reason
    assert incoming.left_out == (("letter.docx", "unknown kind of file"),)


def test_a_list_of_paths_with_names(tmp_path, study):
    write_volume(tmp_path / "x.mhd")
    write_volume(tmp_path / "y.mhd")
    (tmp_path / "list.csv").write_text("name,path\nFirst,x.mhd\n,y.mhd\nSecond,Patient 7\n,absent.mhd\n")
    incoming = find_scans(tmp_path / "list.csv")
    assert names(incoming) == ["first", "y", "second"]
    ((origin, reason),) = incoming.refused
    assert origin == "absent.mhd"
    assert reason.startswith("list.csv row 5: ")
    (tmp_path / "list.csv").write_text("file\nx.mhd\n")
    with pytest.raises(InputError, match="expected the column 'path' once"):
        find_scans(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("path\nx.mhd\nx.mhd\n")
    with pytest.raises(InputError, match="the same path"):
        find_scans(tmp_path / "list.csv")


def test_a_digest_is_of_the_content_and_not_of_the_place(tmp_path, write_series):
    stored = np.zeros((8, 8, 8), np.int16)
    write_series(tmp_path / "a" / "ct", stored=stored)
    write_series(tmp_path / "b", stored=stored)
    stored[3, 4, 5] = 1
    write_series(tmp_path / "pixel", stored=stored)
    write_series(tmp_path / "header", stored=np.zeros((8, 8, 8), np.int16), RescaleIntercept=-1000)
    digests = [find_scans(tmp_path / name).scans[0].digest for name in ("a", "b", "pixel", "header")]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    ("fields", "is_taken"),
    [({}, True), ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, True), ({"Modality": "PT"}, False)],
)
def test_the_only_series_of_a_study_is_taken_where_it_is_a_ct(tmp_path, write_series, fields, is_taken):
    def sideways(header, z):
        if "ImageOrientationPatient" in fields:
            header.ImagePositionPatient = [2.0 * z, 0.0, 0.0]

    folder = write_series(tmp_path / "ct", slices=8, change=sideways, **fields)
    if is_taken:
        assert names(find_scans(folder)) == ["ct"]
    else:
        with pytest.raises(InputError, match=r"no scan here, found ct .*not CT: Modality is PT"):
            find_scans(folder)


def test_the_output_within_the_input_is_not_searched(tmp_path):
    write_volume(tmp_path / "scans" / "a.mhd")
    write_volume(tmp_path / "scans" / "out" / "a" / "labels.mhd")
    assert names(find_scans(tmp_path / "scans", without=[tmp_path / "scans" / "out"])) == ["a"]


def test_what_is_nothing_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("absent", "empty"):
        with pytest.raises(InputError, match=f"{place}: no s.* expected one of .mhd"):
            find_scans(tmp_path / place)
    (tmp_path / "letter.docx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"letter\.docx: unknown kind of file"):
        find_scans(tmp_path / "letter.docx")


def damaged_zip(path, how):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ct.mhd", b"x" * 1000)
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\1\2")
    if how == "encrypted":
        data[6] |= 1
        data[central + 8] |= 1
    elif how == "claims":
        data[central + 24 : central + 28] = struct.pack("<I", 2**31)
    elif how == "cut":
        del data[central + 10 :]
    else:
        data[central - 10] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("encrypted", "is encrypted"),
        ("claims", r"claims 2\.1 GB in"),
        ("bytes", "Bad CRC-32"),
        ("cut", "is cut short, the list of its files at its end is not there: copy it again, whole"),
    ],
)
def test_a_damaged_zip_is_one_line(tmp_path, how, told):
    damaged_zip(tmp_path / "scans.zip", how)
    ((_, reason),) = find_scans(tmp_path / "scans.zip").refused
    assert f"{tmp_path}/scans.zip: " in reason
    assert re.search(told, reason)


def test_a_zip_does_not_write_beside_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    write_volume(tmp_path / "ct.mhd")
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for name in ("ct.mhd", "ct.raw"):
            archive.write(tmp_path / name, f"../../{name}")
            (tmp_path / name).unlink()
    (scan,) = find_scans(tmp_path / "scans.zip").scans
    with scan.opened() as path:
        assert read_volume(path).array_zyx.shape == (4, 5, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scans.zip", "scratch"]


@given(st.lists(st.text("aA-/ .\xe9\0", max_size=3), max_size=6))
def test_names_are_unique_and_plain(wishes):
    keys = [str(place) for place in range(len(wishes))]
    found = result_names(wishes, keys)
    assert len(set(found)) == len(wishes)
    assert all(name == os.path.basename(name) and name.isascii() and name[0] not in ".-" for name in found)


def test_a_name_depends_on_no_scan_that_has_another():
    assert result_names(["a/CT", "b/CT"], ["1", "2"]) == ("a-ct", "b-ct")
    double = result_names(["CT", "b", "ct"], ["1", "2", "3"])
    assert double[1] == "b"
    assert double[::2] == result_names(["CT", "ct", "new"], ["1", "3", "4"])[:2]
    assert double[0].startswith("ct-")


def test_shards_part_the_scans():
    keys = [f"1.2.840.{number}" for number in range(200)]
    of_shard = [{key for key in keys if in_shard(key, shard, 3)} for shard in (1, 2, 3)]
    assert sum(map(len, of_shard)) == len(set.union(*of_shard)) == 200
    assert min(map(len, of_shard)) > 40
    assert parse_shard("2/16") == (2, 16)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3", ""])
def test_a_shard_that_is_none_is_one_line(text):
    with pytest.raises(InputError, match=r"--shard: found .*, expected K/N with K from 1 to N"):
        parse_shard(text)
