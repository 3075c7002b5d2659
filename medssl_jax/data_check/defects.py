"""The records of a check: a defect, a checked scan, and the report of a whole data set."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from medssl_jax.data.scans.preparation import LUNGS
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check.found_lungs import FoundLungs
from medssl_jax.data_check.sampling import VolumeSample


@dataclasses.dataclass(frozen=True, order=True)
class Defect:
    """Something wrong with the data.

    `subject` is the series, patient, file or folder it is about; `message` one line with what was found and what to do.
    It `blocks` where preparing would stop at it, or a result would be wrong because of it.
    """

    kind: str
    subject: str
    message: str
    blocks: bool


@dataclasses.dataclass(frozen=True, eq=False)
class CheckedScan:
    """A scan, what was sampled of it (None where it cannot be read), and what is wrong with it alone.

    `lungs` is None where none were looked for, or the scan cannot be used.
    """

    scan: ScanFiles
    sample: VolumeSample | None
    lungs: FoundLungs | None
    defects: tuple[Defect, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class CheckReport:
    """All that was found in one data set, whose `region` will be searched, lungs or body.

    `overview` is what was looked for and found, in words.

    `notices` are worth knowing and not wrong.
    """

    dataset: str
    folder: Path
    overview: Mapping[str, str]
    notices: tuple[str, ...]
    defects: tuple[Defect, ...]
    scans: tuple[CheckedScan, ...]
    region: str = LUNGS

    @property
    def sampled(self) -> list[CheckedScan]:
        """The scans that could be read."""
        return [scan for scan in self.scans if scan.sample]

    @property
    def can_start(self) -> bool:
        """True if training can start."""
        return not any(defect.blocks for defect in self.defects)
