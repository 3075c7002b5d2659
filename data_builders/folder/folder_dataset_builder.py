"""The TFDS data set of a user's own scans; what is stored and how it is made is in `data_builders.scan_builder`."""

import os
import sys
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from data_builders import folder
from data_builders.folder import folder_files
from data_builders.folder.frames import AUTO
from data_builders.scan_builder import ScanBuilder
from medssl_jax.core.progress import progress_bar
from medssl_jax.data.scans.scan_files import ScanFiles


class Folder(ScanBuilder):
    """All scans of a folder in the order of `find_scans`, labelled or not.

    What was read of headers and masks is kept in `index/` beside the data set.
    """

    VERSION = tfds.core.Version(folder.VERSION)
    RELEASE_NOTES = folder.RELEASE_NOTES

    def __init__(
        self,
        *,
        labels: str | os.PathLike[str] | None = None,
        labelled_list: str | os.PathLike[str] | None = None,
        lungs: str | os.PathLike[str] | None = None,
        frame: str = AUTO,
        **options: Any,
    ):
        self.labels, self.labelled_list, self.lungs, self.frame = labels, labelled_list, lungs, frame
        super().__init__(**options)

    def find_scans(self, manual_dir: Path) -> tuple[ScanFiles, ...]:
        """The scans of the folder; says on stderr how many there are and what was passed over."""
        found = folder_files.find_scans(
            manual_dir,
            _absolute(self.labels),
            _absolute(self.labelled_list),
            lungs=_absolute(self.lungs),
            frame=self.frame,
            index_dir=Path(self.data_dir_root) / self.name / "index",
            workers=self.workers,
            progress=progress_bar("looking", "scans"),
        )
        print(found.note, file=sys.stderr)
        return found.scans

    def is_there(self, manual_dir: Path) -> bool:
        """True if any scan lies there."""
        return folder_files.is_there(manual_dir)


BUILDER = Folder


def _absolute(path: str | os.PathLike[str] | None) -> Path | None:
    return Path(path).absolute() if path else None
