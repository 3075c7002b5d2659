"""What a trained detector knows of scans: operating points from those it was validated on, and which it has seen.

A run keeps the points in `operating_points.json` and its scans in `split.json`. Weights to hand on carry both, of scans
only a hash of the series UID each: whoever has a scan can ask whether it was among them, and nobody can list them. Of
patients they carry nothing, since hashes of patient numbers are found out by trying all numbers.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.operating_points import OperatingPoints

POINTS_FILE, SPLIT_FILE = "operating_points.json", "split.json"
SEEN_PARTS = ("labelled", "unlabelled", "validation")
HASH_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class Experience:
    """Operating points, and the hashes of seen series; None and () where nothing is known of them."""

    points: OperatingPoints | None = None
    seen: tuple[str, ...] = ()

    def has_seen(self, series_uid: str) -> bool:
        """True for a series that it was trained or validated on; what is not known to it is False."""
        return hash_of_series(series_uid) in self.seen

    def as_json(self) -> dict[str, Any]:
        """What is known; nothing of what is not."""
        points = {} if self.points is None else {"operating_points": self.points.as_json()}
        return points | ({"seen_series": list(self.seen)} if self.seen else {})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Experience":
        """What `as_json` gave."""
        points = content.get("operating_points")
        return cls(None if points is None else OperatingPoints.from_json(points), tuple(content.get("seen_series", ())))


NOTHING_KNOWN = Experience()


def hash_of_series(series_uid: str) -> str:
    """The first digits of its SHA-256."""
    return hashlib.sha256(series_uid.encode()).hexdigest()[:HASH_DIGITS]


def experience_of(workdir: Path, step: int) -> Experience:
    """What the run in a workdir knows; its points only where they are of this `step`.

    Raises `InputError` where a file of it cannot be read.
    """
    points = _read(workdir / POINTS_FILE, OperatingPoints.from_json)
    seen = _read(workdir / SPLIT_FILE, _series_seen)
    of_step = points if points is not None and points.step == step else None
    return Experience(of_step, tuple(sorted(map(hash_of_series, seen or ()))))


def _series_seen(split: Mapping[str, Any]) -> list[str]:
    """Of a run of slides none: its split has other parts, and its slides have no series UID."""
    return [] if "train" in split else sorted({uid for part in SEEN_PARTS for uid in split[part]})


def _read(path: Path, parse: Any) -> Any:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not what a run wrote ({error!r}): copy it again from the run") from error
