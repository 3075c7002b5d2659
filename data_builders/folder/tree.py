"""The scans below a folder: volumes in one file, and folders of DICOM slices."""

import dataclasses
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from etils import epy

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.imaging.volumes import EXTENSIONS

with epy.lazy_imports():
    from pydicom import misc

DICOM_SUFFIX = ".dcm"
VOXEL_DATA_SUFFIXES = (".raw", ".zraw")  # of a .mhd beside them
# What lies beside scans and is none; of any other file the user is told.
DOCUMENT_SUFFIXES = tuple(
    f".{extension}"
    for extension in (
        *("bib", "csv", "htm", "html", "ini", "json", "log", "md", "md5", "pdf", "rst", "sha256", "tcia", "toml"),
        *("tsv", "txt", "xlsx", "xml", "yaml", "yml"),
    )
)
DOCUMENT_NAMES = ("license", "licence", "copying", "notice", "readme", "dicomdir", "lockfile", "version", "thumbs.db")
UNKNOWN_KIND = "unknown kind of file"


class PassedOver(NamedTuple):
    """A file or a series that is not used, and why."""

    path: Path
    reason: str


@dataclasses.dataclass
class Notes:
    """Notes for the user of a folder: the files and series that are not used, and what looks odd."""

    passed_over: list[PassedOver] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)


class Tree(NamedTuple):
    """Volume files, and folders that hold DICOM files, in the order of the tree."""

    volume_files: list[Path]
    dicom_folders: list[Path]


def read_tree(folder: Path, notes: Notes, *, without: Collection[Path] = ()) -> Tree:
    """Sorts the files below `folder`, links followed; hidden files and documents are passed over without a word.

    What else is neither goes to `notes`. Folders in `without` are not entered. Raises `InputError` where a folder
    cannot be read.
    """
    tree = Tree([], [])
    for place, names in _walk(folder, frozenset(each.resolve() for each in without)):
        has_dicom, has_mhd = False, any(name.lower().endswith(".mhd") for name in names)
        for name in names:
            path, lower = place / name, name.lower()
            if lower.endswith(EXTENSIONS):
                tree.volume_files.append(path)
            elif _is_document(lower) or (has_mhd and lower.endswith(VOXEL_DATA_SUFFIXES)):
                continue
            elif lower.endswith(DICOM_SUFFIX) or is_marked_dicom(path):
                has_dicom = True
            else:
                notes.passed_over.append(PassedOver(path, UNKNOWN_KIND))
        if has_dicom:
            tree.dicom_folders.append(place)
    return tree


def name_of(path: Path) -> str:
    """The name of a volume file without its extension, as text that can be shown: the id of the scan in it."""
    extension = next(each for each in EXTENSIONS if path.name.lower().endswith(each))
    return printable(path.name[: -len(extension)])


def visible_files(folder: Path) -> list[Path]:
    """The files in `folder` itself that are not hidden."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def is_marked_dicom(path: Path) -> bool:
    """True where a file says that it is DICOM. Raises `InputError` where it cannot be read."""
    try:
        return path.is_file() and misc.is_dicom(path)  # neither a link to nowhere nor a pipe
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}: change its rights or take it away") from None


def _walk(folder: Path, without: frozenset[Path]) -> Iterator[tuple[Path, list[str]]]:
    seen = set(without)  # a link may lead back up

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}: change its rights or take it away")

    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        if Path(place).resolve() in seen:
            folders.clear()
            continue
        seen.add(Path(place).resolve())
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield Path(place), sorted(name for name in names if not name.startswith("."))


def _is_document(lower_name: str) -> bool:
    return lower_name.endswith(DOCUMENT_SUFFIXES) or lower_name in DOCUMENT_NAMES
