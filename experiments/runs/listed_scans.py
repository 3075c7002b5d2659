"""Scans of a folder by their series UIDs, opened one by one at 1 mm."""

from collections.abc import Sequence
from pathlib import Path

from data_builders.folder.tree import name_of
from data_builders.incoming.find import IncomingScan, find_scans
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief
from medssl_jax.data.scans.preparation import resampled_hu
from medssl_jax.imaging.dicom.series import read_series
from medssl_jax.imaging.volumes import read_slices, read_volume
from medssl_jax.report.nodules.mistakes_page import Seen


class ListedScans:
    """Opens any of the listed series, which are all in `folder`.

    A file's series is its name, as in LUNA16. Raises `InputError` where one is not there, and as `find_scans` does;
    opening raises it as the readers do.
    """

    def __init__(self, folder: Path, series_uids: Sequence[str]):
        self._scan_of = {_series_of(scan): scan for scan in find_scans(folder).scans}
        absent = [uid for uid in series_uids if uid not in self._scan_of]
        if absent:
            raise InputError(
                f"--scans={folder}: {len(absent)} of {len(series_uids)} listed series are not there, such as "
                f"{brief(absent[0])}: give the folder that holds all of them, or leave --scans out"
            )

    def __call__(self, series_uid: str) -> Seen:
        """The scan at 1 mm."""
        scan = self._scan_of[series_uid]
        with scan.opened() as path:
            volume = read_volume(path) if scan.series_uid is None else read_slices(read_series(path, scan.series_uid))
        return Seen(*resampled_hu(volume))


def _series_of(scan: IncomingScan) -> str:
    return scan.series_uid or name_of(scan.path)
