"""The metadata of prepared scans: what splits and caches need to know, without a voxel."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class ScanMetadata:
    """Fold (-1: none), patient by its key ("": not known), whether its nodules are known, and size at 1 mm."""

    subset: int
    patient: str
    is_labelled: bool
    size_zyx: tuple[int, int, int]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ScanMetadata":
        """Reads the fields of these names; others are not looked at."""
        return cls(record["subset"], record["patient"], record["is_labelled"], tuple(record["size_zyx"]))
