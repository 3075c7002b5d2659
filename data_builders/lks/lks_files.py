"""LKS's layout on disk: its slides with their split and class, none missing.

Two layouts are known: the download (`Train_Labels.csv`, `Train/*.tif`, the same for `Test`) and what the authors' own
script makes of it (`Train/<class>/<name>/lowres.jpg`, `highres_patches/0/<column>_<row>.jpg`, the same for `Test`).
"""

import dataclasses
import itertools
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path

from medssl_jax.core.csv_files import check_new, read_rows
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.imaging.slides import PREPARED_IMAGE, slide_name

CLASSES = ("Neg", "AMA", "SMA-V", "SMA-T")
SPLITS = ("train", "test")
# Slides of each class, in the order of CLASSES.
SLIDES_OF_LKS = {"train": (239, 106, 107, 27), "test": (103, 45, 46, 11)}
# How the files spell the classes is not documented; case, spaces, - and _ do not count.
LABEL_OF_SPELLING = {"neg": 0, "negative": 0, "ama": 1, "smav": 2, "smat": 3}
TIFF_SUFFIXES = (".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class SlideFile:
    """One slide; `path` is a TIFF file or a folder of the authors' preparation, `label` an index into `CLASSES`.

    A name is unique within its split.
    """

    name: str
    split: str
    label: int
    path: Path


def find_slides(folder: Path) -> tuple[SlideFile, ...]:
    """All slides, training before test, then by name.

    Raises:
      InputError: LKS or a part of it is not in `folder`; a label has no file, or a file no label; a class is unknown; a
        name is there twice.
    """
    find = _raw_slides if _is_raw(folder) else _prepared_slides
    if find is _prepared_slides and not _is_prepared(folder):
        raise InputError(
            f"{folder}: LKS is not here. Download it by way of github.com/cradleai/LKS-Dataset (0.14 TB; 0.99 TB "
            f"unpacked), unpack it into {folder}, so that {folder}/Train_Labels.csv and {folder}/Train are there, then "
            f"run `python -m experiments.prepare --dataset=lks --manual_dir={folder} --data_dir=DIR`"
        )
    slides: list[SlideFile] = []
    for split in SPLITS:
        of_split = sorted(find(folder, split), key=lambda slide: slide.name)
        _check_names(of_split)
        slides += of_split
    return tuple(slides)


def is_there(folder: Path) -> bool:
    """True if `folder` has LKS, or a part of it, in either layout."""
    return _is_raw(folder) or _is_prepared(folder)


def label_of_spelling(text: str) -> int | None:
    """The index in `CLASSES` of a class as a file spells it, None where it is no class of LKS."""
    return LABEL_OF_SPELLING.get("".join(text.lower().replace("-", "").replace("_", "").split()))


def _is_raw(folder: Path) -> bool:
    tables = any(_table_path(folder, split).is_file() for split in SPLITS)
    return tables or any(_tiffs(folder / split.capitalize()) for split in SPLITS)


def _is_prepared(folder: Path) -> bool:
    return any(any(place.glob(f"*/*/{PREPARED_IMAGE}")) for split in SPLITS for place in _split_folders(folder, split))


def _raw_slides(folder: Path, split: str) -> Iterator[SlideFile]:
    table, place = _table_path(folder, split), folder / split.capitalize()
    for path, there in ((table, table.is_file()), (place, place.is_dir())):
        if not there:
            raise InputError(f"{path}: not found, LKS has it beside its other files: unpack the download again")
    label_of = _read_labels(table)
    on_disk = {printable(path.name): path for path in _tiffs(place)}
    for name in label_of.keys() - on_disk.keys():
        raise InputError(f"{table}: gives {name} a class, but {place} holds no such file: unpack it, or drop the row")
    for name, path in on_disk.items():
        if name not in label_of:
            raise InputError(f"{path}: no row of {table} names it: add its name and class there, or take it away")
        yield SlideFile(slide_name(path), split, label_of[name], path)


def _read_labels(table: Path) -> dict[str, int]:
    """The label of each file name; column 0 is the name, column 1 the class, whatever the header calls them."""
    row_of: dict[Hashable, int] = {}
    label_of: dict[str, int] = {}
    for number, cells in itertools.islice(read_rows(table), 1, None):
        if not any(cells):
            continue
        if len(cells) < 2:
            raise InputError(f"{table}: row {number}: found {cells}, expected a file name and a class: mend the row")
        name, spelling = cells[:2]
        label = label_of_spelling(spelling)
        if label is None:
            raise InputError(f"{table}: row {number}, {name}: {_unknown_class(spelling)}: correct the cell")
        check_new(table, number, f"the same file {name!r}", name, row_of)
        label_of[name] = label
    return label_of


def _prepared_slides(folder: Path, split: str) -> Iterator[SlideFile]:
    places = _split_folders(folder, split)
    if len(places) != 1:
        found = " and ".join(map(str, places)) or "no such folder"
        raise InputError(f"{folder}: found {found}, expected one folder {split.capitalize()}: put the split there")
    for class_folder in _folders(places[0]):
        label = label_of_spelling(class_folder.name)
        if label is None:
            raise InputError(f"{class_folder}: {_unknown_class(class_folder.name)}: rename the folder or take it away")
        for path in _folders(class_folder):
            yield SlideFile(slide_name(path), split, label, path)


def _check_names(slides: Iterable[SlideFile]) -> None:
    for one, other in itertools.pairwise(slides):
        if one.name == other.name:
            raise InputError(f"{other.path}: a slide of that name is also {one.path}: rename or remove one")


def _unknown_class(spelling: str) -> str:
    return f"class {spelling.strip()!r}, expected one of {', '.join(CLASSES)}"


def _table_path(folder: Path, split: str) -> Path:
    return folder / f"{split.capitalize()}_Labels.csv"


def _tiffs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in _visible(folder) if path.suffix.lower() in TIFF_SUFFIXES]


def _split_folders(folder: Path, split: str) -> list[Path]:
    return [path for path in _folders(folder) if path.name.lower() == split]


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()] if folder.is_dir() else []


def _visible(folder: Path) -> list[Path]:
    # Finder and Explorer leave hidden files, some of them named like slides.
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
