"""The files of a run that goes on: its record, config, split, hashes and metrics."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import jax
from flax.traverse_util import flatten_dict

from experiments.configs import phantom
from medssl_jax.core.step_lines import StepLines
from medssl_jax.run_folder.run_record import read_run_record, write_run_record
from medssl_jax.run_folder.tensor_hashes import HashWriter, StepHashes, read_hashes
from medssl_jax.run_folder.workdir import claim_workdir, record_split
from tests.fuzz.damage import NASTY_TEXTS, damage_file, damage_json, other_json
from tests.fuzz.oracle import MustRefuse, judged

VARIANTS = ("run.json", "config.json", "split.json", "hashes.jsonl", "metrics.jsonl")
RESUME_STEP = 6
SPLIT = {"labelled": ["1.3.6.1", "1.3.6.2"], "unlabelled": [], "test": ["1.3.6.3"], "data_fingerprint": "abc"}
FREE = (
    *("logging", "inference", "data.manual_dir", "data.data_dir", "data.cache_dir", "data.workers"),
    "patches.loader_threads",
)
LINES = (
    "[1]",
    "5",
    '{"a": 1}',
    "null",
    "",
    " ",
    '{"step": null}',
    '{"step": "6"}',
    '{"step": NaN}',
    '{"step": [6]}',
    "{",
)


def make(folder: Path, variant: str) -> None:
    """A run that has saved after step 6 and gone on to step 8."""
    (folder / "checkpoints" / str(RESUME_STEP)).mkdir(parents=True)
    config = _config()
    claim_workdir(folder, config)
    record_split(folder, SPLIT)
    write_run_record(folder, config, devices=jax.devices(), resume_step=0)
    hashes = HashWriter(folder, resume_step=0)
    metrics = StepLines(folder / "metrics.jsonl", resume_step=0)
    for step in (2, 4, 6, 8):
        hashes(step, StepHashes({"x": f"{step:016x}"}, {"params.w": f"{step + 1:016x}"}))
        metrics.append(step, {"loss": 1 / step, "steps_per_second": 3.5})


def mutate(folder: Path, variant: str, rng) -> str:
    """Bytes or a value of one file."""
    path = folder / variant
    if rng.random() < 0.4:
        return damage_file(path, rng)
    if path.suffix == ".json":
        return damage_json(path, rng)
    lines = path.read_text().splitlines()
    place = rng.randrange(len(lines))
    way = rng.choice(("value", "value", "line", "twice", "gone", "swap"))
    if way == "value":
        content, told = other_json(json.loads(lines[place]), rng)
        lines[place] = json.dumps(content)
    elif way == "line":
        lines[place] = rng.choice((*LINES, *NASTY_TEXTS))
        told = f"line {place} is {lines[place][:40]!r}"
    else:
        told = f"line {place}: {way}"
        line = lines.pop(place)
        if way != "gone":
            lines[place:place] = [line, line] if way == "twice" else []
            lines += [line] if way == "swap" else []
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return told


def read(folder: Path):
    """The record and the hashes, as they are compared; then all that a run does before it goes on after step 6."""
    record = read_run_record(folder / "run.json")
    hashes = {step: each._asdict() for step, each in read_hashes(folder).items()}
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        used = shutil.copytree(folder, Path(scratch) / folder.name)
        claim_workdir(used, _config())
        record_split(used, SPLIT)
        HashWriter(used, resume_step=RESUME_STEP)
        StepLines(used / "metrics.jsonl", resume_step=RESUME_STEP)
        kept = {name: (used / name).read_text().splitlines() for name in ("hashes.jsonl", "metrics.jsonl")}
    return {"record": dataclasses.asdict(record), "hashes": hashes, "kept": kept}


def judge(damaged: Path, valid: Path, reading) -> str:
    """Record, config and split are those of this run; of hashes and metrics each line is one of a step, in order."""

    def content(folder):
        _check_config(_json(folder / "config.json"))
        if _json(folder / "split.json") != SPLIT:
            raise MustRefuse("its split is another")
        lines = {name: _lines(folder / name) for name in ("hashes.jsonl", "metrics.jsonl")}
        hashes = {
            step: {part: content[part] for part in ("batch", "state")} for step, content, _ in lines["hashes.jsonl"]
        }
        if not all(isinstance(part, dict) for each in hashes.values() for part in each.values()):
            raise MustRefuse("a line has no hashes")
        kept = {name: [line for step, _, line in lines[name] if step <= RESUME_STEP] for name in lines}
        # The record has a checksum: nothing but the one that was written is right.
        return {"record": read(valid)["record"], "hashes": hashes, "kept": kept}

    return judged(content, read, damaged, valid, reading)


def _check_config(found):
    wanted = json.loads(_config().to_json())
    if not isinstance(found, dict):
        raise MustRefuse("its config is none")
    old, new = flatten_dict(found, sep="."), flatten_dict(wanted, sep=".")
    for field in old.keys() | new.keys():
        if old.get(field) != new.get(field) and not field.startswith(FREE):
            raise MustRefuse(f"its config has another {field}")


def _lines(path):
    """Each line's step, content and text; the last one may be cut short."""
    lines = path.read_text(errors="replace").split("\n")
    found = []
    for line in lines:
        try:
            content = json.loads(line)
            step = content["step"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if line is lines[-1]:
                break
            raise MustRefuse(f"a line of {path.name} is {line[:40]!r}: {error}") from None
        if type(step) is not int or (found and step <= found[-1][0]):
            raise MustRefuse(f"a line of {path.name} is of step {step}")
        found.append((step, content, line))
    return found


def _json(path):
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise MustRefuse(f"{path.name} is no JSON: {error}") from None


def _config():
    return phantom.get_config()
