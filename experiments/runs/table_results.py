"""One finished run of a table as a small file: what names it, and all of its marks that a score goes by; no weights."""

import base64
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.runs.tables import Run, means_the_same, telling_sha256
from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError
from medssl_jax.metrics.matching import Outcome
from medssl_jax.metrics.over_draws import draw_scores

FORMAT = 1
BEYOND = 3  # a resample of few scans may have half the false positives a scan, hardly a third
MARKS = ("series_uids", "nodules_per_scan", "entry_scan", "entry_is_hit", "entry_probability")


class Finished(NamedTuple):
    """What a run came to.

    `split` counts the scans of each part and has the fingerprint of the data; `environments` are those of its starts,
    as `run.json` has them. `is_luna16` where the scans are LUNA16's 888. `seconds` is None for a run that was resumed.
    """

    outcome: Outcome
    fps_per_scan: tuple[float, ...]
    split: Mapping[str, Any]
    environments: tuple[Mapping[str, Any], ...]
    is_luna16: bool
    seconds: float | None


@dataclasses.dataclass(frozen=True)
class RunResult:
    """A finished run with what names it; `fields` are those of its config that tell in the result."""

    table: str
    data: str
    row: str
    draw: int
    fields: Mapping[str, Any]
    finished: Finished

    def answers_for(self, run: Run) -> bool:
        """True where the run need not be made: this is its result, of whatever table and commit."""
        return self.data == run.data and means_the_same(self.fields, run.fields)

    @property
    def commits(self) -> tuple[str, ...]:
        """The commits that it was computed with, shortened, each with + where there were changes."""
        codes = [environment["code"] for environment in self.finished.environments]
        return tuple(
            dict.fromkeys(
                f"{code['commit'][:9]}{'' if code['is_clean'] else '+'}" if code["commit"] else "no commit"
                for code in codes
            )
        )

    @property
    def machine(self) -> str:
        """The devices of its last start."""
        devices = self.finished.environments[-1]["devices"]
        threads = f", {devices['threads']} threads" if "threads" in devices else ""
        return f"{devices['count']} x {devices['kind']}{threads}"


def result_path(folder: Path, run: Run, table: str) -> Path:
    """Where the result of a run lies, below the folder of a table."""
    return folder / "results" / f"{table}-{run.data}-{run.row}-{run.draw}-{run.key}.json"


def write_result(path: Path, table: str, run: Run, finished: Finished) -> None:
    """Writes the file, whole or not at all, with its own SHA-256. Raises `InputError` where it cannot be written."""
    outcome = finished.outcome
    content = {
        "format": FORMAT,
        "table": table,
        "data": run.data,
        "row": run.row,
        "draw": run.draw,
        "config_sha256": telling_sha256(run.data, run.fields),
        "config": run.fields,
        "split": finished.split,
        "environments": [
            {name: environment[name] for name in ("code", "devices", "versions")}
            for environment in finished.environments
        ],
        "is_luna16": finished.is_luna16,
        "seconds": finished.seconds,
        "fps_per_scan": list(finished.fps_per_scan),
        "cpm": float(draw_scores([outcome], fps_per_scan=finished.fps_per_scan, bootstraps=1).of_draw[0]),
        "scans": len(outcome.series_uids),
        "nodules": int(outcome.nodules_per_scan.sum()),
        "counts": {name: value for name, value in vars(outcome).items() if name not in MARKS},
        "marks": _packed(_that_score(outcome, max(finished.fps_per_scan))),
    }
    write_text(path, json.dumps(content | {"sha256": _digest(content)}, indent=1) + "\n")


def read_result(path: Path) -> RunResult:
    """Reads such a file. Raises `InputError` for anything else, and for one that was changed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InputError(
                f"{path}: has format {content['format']}, expected {FORMAT}: read it with the version that wrote it"
            )
        if content.pop("sha256") != _digest(content):
            raise ValueError("it was changed after it was written")
        return RunResult(
            table=content["table"],
            data=content["data"],
            row=content["row"],
            draw=content["draw"],
            fields=content["config"],
            finished=Finished(
                _unpacked(content["marks"], content["counts"]),
                tuple(content["fps_per_scan"]),
                content["split"],
                tuple(content["environments"]),
                content["is_luna16"],
                content["seconds"],
            ),
        )
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected the result of a run of a table") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: not the result of a run of a table ({type(error).__name__}: {error}): copy it again, or take it "
            "out of the folder"
        ) from error


def read_results(folders: Iterable[Path]) -> list[RunResult]:
    """All results in some folders, in the order of their names. Raises `InputError` where a folder is absent."""
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder, expected one of results of tables")
        found += [read_result(path) for path in sorted(folder.glob("[!.]*.json"))]
    return found


def _that_score(outcome: Outcome, most_fps: float) -> Outcome:
    """The best marks, up to `BEYOND` times the largest rate of false positives: no resample of scans reads further."""
    false_positives = np.cumsum(~outcome.entry_is_hit)
    kept = int(np.searchsorted(false_positives, BEYOND * most_fps * len(outcome.series_uids), side="right"))
    entries = ("entry_scan", "entry_is_hit", "entry_probability")
    return dataclasses.replace(outcome, **{name: getattr(outcome, name)[:kept] for name in entries})


def _packed(outcome: Outcome) -> str:
    """The arrays as a compressed .npz, in base64: about 5 bytes a mark."""
    single = outcome.entry_probability.astype(np.float32)
    exact = single.astype(np.float64) == outcome.entry_probability
    arrays = {
        "series_uids": np.array([uid.encode() for uid in outcome.series_uids]),
        "nodules_per_scan": outcome.nodules_per_scan.astype(np.uint16),
        "entry_scan": outcome.entry_scan.astype(np.uint16),
        "entry_is_hit": outcome.entry_is_hit,
        "entry_probability": single if exact.all() else outcome.entry_probability,
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _unpacked(marks: str, counts: Mapping[str, int]) -> Outcome:
    with np.load(io.BytesIO(base64.b64decode(marks, validate=True)), allow_pickle=False) as arrays:
        return Outcome(
            series_uids=tuple(uid.decode() for uid in arrays["series_uids"].tolist()),
            nodules_per_scan=arrays["nodules_per_scan"].astype(np.int64),
            entry_scan=arrays["entry_scan"].astype(np.int64),
            entry_is_hit=arrays["entry_is_hit"],
            entry_probability=arrays["entry_probability"].astype(np.float64),
            **counts,
        )


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
