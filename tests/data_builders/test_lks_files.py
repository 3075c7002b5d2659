"""Both layouts of LKS are found, and every way they can be incomplete or contradict themselves is said."""

import shutil

import pytest

from data_builders.lks.lks_files import CLASSES, SlideFile, find_slides, is_there, label_of_spelling
from medssl_jax.core.errors import InputError


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "LKS"
    write(folder / "Train_Labels.csv", "Image,Label\nb.tif,Neg\na.tif,SMA-V\n")
    write(folder / "Test_Labels.csv", "\ufeffImage,Label\r\na.tif, ama \r\n\r\n")
    for name in ("Train/a.tif", "Train/b.tif", "Test/a.tif", "Train/._a.tif", "Train/Thumbs.db"):
        write(folder / name)
    return folder


@pytest.fixture
def prepared(tmp_path):
    folder = tmp_path / "prepared"
    for name in ("Train/Neg/b", "Train/SMA-V/a", "Test/AMA/a"):
        write(folder / name / "lowres.jpg")
    (folder / "Neg").mkdir()  # the authors' script makes these beside the splits
    return folder


def refused(folder, said):
    with pytest.raises(InputError, match=said) as caught:
        find_slides(folder)
    assert "\n" not in str(caught.value)


def test_the_download(raw):
    assert find_slides(raw) == (
        SlideFile("a", "train", CLASSES.index("SMA-V"), raw / "Train" / "a.tif"),
        SlideFile("b", "train", CLASSES.index("Neg"), raw / "Train" / "b.tif"),
        SlideFile("a", "test", CLASSES.index("AMA"), raw / "Test" / "a.tif"),
    )


def test_the_authors_preparation_holds_the_same(raw, prepared):
    key = [(slide.name, slide.split, slide.label) for slide in find_slides(raw)]
    assert [(slide.name, slide.split, slide.label) for slide in find_slides(prepared)] == key
    assert find_slides(prepared)[2].path == prepared / "Test" / "AMA" / "a"


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        *((spelling, "Neg") for spelling in ("neg", "NEG", "Negative", " Neg ")),
        ("Ama", "AMA"),
        *((spelling, "SMA-V") for spelling in ("sma-v", "SMAV", "Sma_V", "SMA V")),
        *((spelling, "SMA-T") for spelling in ("sma-t", "SMAT", "Sma_T")),
    ],
)
def test_spellings_of_a_class(spelling, expected):
    assert CLASSES[label_of_spelling(spelling)] == expected


@pytest.mark.parametrize("spelling", ["", "SMA", "LKM", "positive", "neg1"])
def test_what_is_no_class(spelling):
    assert label_of_spelling(spelling) is None


def test_nothing_there(tmp_path):
    assert not is_there(tmp_path)
    refused(tmp_path, r"LKS is not here.*LKS-Dataset.*Train_Labels\.csv.*experiments\.prepare --dataset=lks")
    refused(tmp_path / "nowhere", "LKS is not here")


@pytest.mark.parametrize("part", ["Train_Labels.csv", "Test_Labels.csv", "Train", "Test"])
def test_a_part_of_the_download_is_missing(raw, part):
    (shutil.rmtree if (raw / part).is_dir() else type(raw).unlink)(raw / part)
    assert is_there(raw)
    refused(raw, rf"{part}: not found")


def test_a_label_for_a_missing_file(raw):
    (raw / "Train" / "b.tif").unlink()
    refused(raw, r"Train_Labels\.csv: gives b\.tif a class, but .*Train holds no such file")


def test_a_file_with_no_label(raw):
    write(raw / "Test" / "q.TIF")
    refused(raw, r"q\.TIF: no row of .*Test_Labels\.csv names it")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("b.tif,LKM", r"row 4, b\.tif: class 'LKM', expected one of Neg, AMA, SMA-V, SMA-T"),
        ("b.tif,", r"row 4, b\.tif: class ''"),
        ("b.tif", r"row 4: found \['b\.tif'\], expected a file name and a class"),
        ("a.tif,AMA", r"row 4: the same file 'a\.tif' as in row 2: take one"),
    ],
)
def test_a_wrong_row(raw, row, said):
    with (raw / "Test_Labels.csv").open("a") as file:
        file.write(row + "\n")
    refused(raw, said)


def test_a_table_that_is_no_text(raw):
    (raw / "Test_Labels.csv").write_bytes(b"\xff\xfe\x00a")
    refused(raw, r"Test_Labels\.csv: found bytes that are no text")


def test_two_slides_of_one_name(raw):
    write(raw / "Test" / "a.tiff")
    with (raw / "Test_Labels.csv").open("a") as file:
        file.write("a.tiff,Neg\n")
    refused(raw, r"a\.tiff: a slide of that name is also .*a\.tif:")


def test_a_prepared_slide_in_two_classes(prepared):
    write(prepared / "Train" / "AMA" / "b" / "lowres.jpg")
    refused(prepared, r"Neg/b: a slide of that name is also .*AMA/b")


def test_a_prepared_class_that_is_unknown(prepared):
    write(prepared / "Train" / "ANA" / "q" / "lowres.jpg")
    refused(prepared, r"Train/ANA: class 'ANA', expected one of")


def test_a_prepared_split_is_missing(prepared):
    shutil.rmtree(prepared / "Test")
    refused(prepared, r"found no such folder, expected one folder Test")
