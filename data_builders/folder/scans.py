"""The scans of a user's folder, and what their user should hear of before they are used."""

import dataclasses
from collections import Counter
from collections.abc import Iterator

from data_builders.folder.tree import PassedOver
from medssl_jax.core.names import some
from medssl_jax.data.scans.scan_files import ScanFiles


@dataclasses.dataclass(frozen=True)
class FolderScans:
    """The scans by series UID, the files that are not used, and what looks odd.

    A series UID is DICOM's, else the file name without extension.
    """

    scans: tuple[ScanFiles, ...]
    passed_over: tuple[PassedOver, ...]
    remarks: tuple[str, ...]

    def __getitem__(self, index: int) -> ScanFiles:
        return self.scans[index]

    def __iter__(self) -> Iterator[ScanFiles]:
        return iter(self.scans)

    def __len__(self) -> int:
        return len(self.scans)

    @property
    def note(self) -> str:
        """The number of scans, the files passed over by reason, and what looks odd; one line each."""
        labelled = [scan for scan in self.scans if scan.is_labelled]
        lesions = sum(len(scan.centres_xyz_mm) for scan in labelled)
        lines = [f"{len(self)} scans: {len(labelled)} labelled with {lesions} lesions, {len(self) - len(labelled)} not"]
        for reason, count in Counter(reason for _, reason in self.passed_over).most_common():
            paths = [str(path) for path, why in self.passed_over if why == reason]
            lines.append(f"passed over {count} ({reason}): {some(paths)}")
        return "\n".join((*lines, *self.remarks))
