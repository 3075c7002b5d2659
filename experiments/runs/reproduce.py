"""Makes a run again from its `run.json` and compares the two: step by step, then file by file."""

import contextlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from experiments.runs.jobs import job_of
from medssl_jax.core.errors import InputError
from medssl_jax.parallel import hosts
from medssl_jax.run_folder.environment import differences, environment_of
from medssl_jax.run_folder.records import Watch, unwatched
from medssl_jax.run_folder.run_record import RunRecord
from medssl_jax.run_folder.tensor_hashes import StepHashes, difference_of_hashes, read_hashes


class Verdict(NamedTuple):
    """The comparison of a run that was made again with the first.

    `steps` logged steps are equal, up to `difference` where there is one. `files` tells of each file in what it
    differs, None where it does not; `absent` are those that the first run has not. There are none of either where the
    comparison ended before the run.
    """

    steps: int
    difference: str | None
    files: Mapping[str, str | None]
    absent: Sequence[str]

    @property
    def is_equal(self) -> bool:
        """True where no difference was found."""
        return self.difference is None and not any(self.files.values())


class _Decided(Exception):  # noqa: N818 - no error: it ends training once the verdict is known
    pass


def config_of(record: RunRecord) -> ml_collections.ConfigDict:
    """The config of the run; JSON has made lists of its tuples, and no config has lists."""
    config = ml_collections.ConfigDict(_with_tuples(record.config))
    config.lock()
    return config


def obstacles(record: RunRecord) -> list[str]:
    """The reasons why the run cannot come out the same here; JAX is in use after that."""
    first = record.sessions[0]
    found = [f"nothing is recorded of its steps up to {first.from_step}"] if first.from_step else []
    for before, after in zip(record.sessions, record.sessions[1:], strict=False):
        changes = "; ".join(differences(before.environment, after.environment))
        found.append(f"it went on in another environment after step {after.from_step} ({changes})")
    job = job_of(record.config)
    devices = job.sharding(job.settings(record.config), jax.devices()).devices
    return found + differences(first.environment, environment_of(devices))


def reproduce(record: RunRecord, workdir: Path, *, anyway: bool = False, watch: Watch = unwatched) -> None:
    """Makes the run again, in another folder. `watch` sees the hashes of each log step.

    Raises `InputError` where its data is not there or, unless `anyway`, is other data than then.
    """
    is_checked = anyway

    def checked_watch(step: int, hashes: StepHashes) -> None:
        nonlocal is_checked
        if not is_checked and json.loads((workdir / "split.json").read_text()) != record.split:
            raise InputError(
                f"{workdir / 'split.json'}: the data or its split is other than in the run: put the data back as it "
                "was, or give --anyway to see where the run departs"
            )
        is_checked = True
        watch(step, hashes)

    config = config_of(record)
    job_of(config).run(config, workdir, watch=checked_watch)


def verify(
    record: RunRecord, folder: Path, workdir: Path, *, steps: int | None = None, anyway: bool = False
) -> Verdict:
    """Makes the run of `folder` again in `workdir`, up to the first difference, to `steps`, or to its end.

    A run that has not ended is followed as far as it went. Raises `InputError` as `reproduce` does, and where there are
    no steps to compare.
    """
    then = {step: each for step, each in read_hashes(folder).items() if steps is None or step <= steps}
    if not then:
        until = "" if steps is None else f" up to step {steps}"
        raise InputError(f"{folder / 'hashes.jsonl'}: no line{until}, expected one to compare")
    last = max(then)
    is_whole = last == record.config["steps"]

    def watch(step: int, now: StepHashes) -> None:
        if step not in then or difference_of_hashes(then[step], now) or (step == last and not is_whole):
            raise _Decided

    with contextlib.suppress(_Decided):
        reproduce(record, workdir, anyway=anyway, watch=watch)
    if not hosts.is_first():
        return Verdict(**hosts.gather(None)[0])
    own = _compare_steps(folder, workdir, then)
    if own.difference is None and is_whole:
        own = _compare_files(own, record, folder, workdir)
    return Verdict(**hosts.gather(own._asdict())[0])


def difference_of_files(a: Path, b: Path, part: Callable[[Path], bytes] = Path.read_bytes) -> str | None:
    """The first line that is not in both to the byte; of what `part` makes of each file."""
    for path in (a, b):
        if not path.is_file():
            return f"{path} is absent"
    lines = itertools.zip_longest(part(a).splitlines(keepends=True), part(b).splitlines(keepends=True))
    differing = (number for number, (ours, theirs) in enumerate(lines, 1) if ours != theirs)
    first = next(differing, None)
    return None if first is None else f"line {first} is the first of {1 + sum(1 for _ in differing)} that differ"


def _compare_steps(folder: Path, workdir: Path, then: Mapping[int, StepHashes]) -> Verdict:
    now = {step: each for step, each in read_hashes(workdir).items() if step <= max(then)}
    for equal, step in enumerate(sorted({*then, *now})):
        if step not in then or step not in now:
            return Verdict(
                equal, f"step {step}: has no line in {folder if step in now else workdir}/hashes.jsonl", {}, []
            )
        if difference := difference_of_hashes(then[step], now[step]):
            return Verdict(equal, f"step {step}: {difference}", {}, [])
    return Verdict(len(then), None, {}, [])


def _compare_files(of_steps: Verdict, record: RunRecord, folder: Path, workdir: Path) -> Verdict:
    """Adds the files, of which a run that was part of a comparison has few: it was scored elsewhere."""
    parts = job_of(record.config).files
    there = [name for name in parts if (folder / name).exists()]
    files = {name: difference_of_files(folder / name, workdir / name, parts[name]) for name in there}
    return of_steps._replace(files=files, absent=[name for name in parts if name not in there])


def _with_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_tuples(each) for name, each in value.items()}
    return tuple(_with_tuples(each) for each in value) if isinstance(value, list) else value
