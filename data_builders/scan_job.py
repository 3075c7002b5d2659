"""One scan of a CT data set, found and not yet read."""

import dataclasses
from collections.abc import Callable
from typing import Any

from medssl_jax.data.preparation import PreparedScan


@dataclasses.dataclass(frozen=True, eq=False)
class ScanJob:
    """A scan to prepare: `load`, which can be pickled, reads and prepares it, or raises `InputError`.

    `description` is a hash that changes with any file or label the scan is made from, and does not with where they lie.
    `patient` is "" where it is not known, `subset` -1 where there are no folds.
    """

    series_uid: str
    patient: str
    subset: int
    is_labelled: bool
    description: str
    load: Callable[[], PreparedScan]

    def metadata(self, scan: PreparedScan) -> dict[str, Any]:
        """What the data set's `metadata.json` says of the scan, so that nobody needs its voxels to know it."""
        metadata = {name: getattr(self, name) for name in ("series_uid", "patient", "subset", "is_labelled")}
        return {**metadata, "size_zyx": list(scan.grid.size_zyx)}
