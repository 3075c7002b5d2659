"""One finished run of a table as a small file: what names it, and all of it that a score goes by; no weights."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.runs.table.tables import DATA_SETS, Run, means_the_same, telling_sha256
from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError

FORMAT = 1


class Finished(NamedTuple):
    """What a run came to: what a score goes by, as its job has it.

    `split` counts the scans or slides of each part and has the fingerprint of the data; `environments` are those of its
    starts, as `run.json` has them. `seconds` is None for a run that was resumed, or whose training was another's.
    """

    scored: Any
    split: Mapping[str, Any]
    environments: tuple[Mapping[str, Any], ...]
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
        return self.data == run.data and means_the_same(self.fields, run.fields, run.job)

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
        "seconds": finished.seconds,
        **run.job.pack(finished.scored),
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
                DATA_SETS[content["data"]].job.unpack(content),
                content["split"],
                tuple(content["environments"]),
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


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
