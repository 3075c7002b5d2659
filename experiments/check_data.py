"""Checks a data set before anything is computed from it: prints what it found, and writes it as an HTML page.

    python -m experiments.check_data --dataset=luna16 --manual_dir=DIR --output=DIR
    python -m experiments.check_data --dataset=nlst --manual_dir=DIR --data_dir=DIR --output=DIR
    python -m experiments.check_data --dataset=folder --manual_dir=DIR --labels=FILE.csv --output=DIR

Minutes for all of LUNA16: headers, tables and masks are read whole, of a scan nine slices. A scan without a mask is
read whole and its lungs are found, which takes some seconds. Exit status 0: training can start; 1: something blocks it;
2: there is nothing to check, or a flag is wrong.
"""

import dataclasses
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from etils import epy
from ml_collections import ConfigDict

from experiments import command, data_set_flags
from experiments.configs import focalmix
from medssl_jax.core.atomic import writable_directory, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.data.scans.preparation import LUNGS, REGIONS
from medssl_jax.data_check.defects import CheckReport
from medssl_jax.report.data_check.check_page import check_page
from medssl_jax.report.data_check.check_summary import text_report

with epy.lazy_imports():
    from data_builders.folder import folder_check
    from data_builders.luna16 import luna16_check
    from data_builders.nlst import nlst_check
    from experiments.runs.focalmix import sizing

BLOCKED_STATUS = 1
PAGE = "check.html"
DATA_SETS_OF_FLAG = {
    **data_set_flags.DATA_SETS_OF_OPTION,
    "allow_absent": ("luna16",),
    "train_subsets": ("luna16", "folder"),
    "test_subsets": ("luna16", "folder"),
    "data_dir": ("nlst", "folder"),
    "region": ("folder",),
}

FLAGS = flags.FLAGS
data_set_flags.define(["luna16", "nlst", "folder"], purpose="it is")
flags.DEFINE_string("output", None, f"folder to write {PAGE} into; without it no page is written")
flags.DEFINE_bool("allow_absent", False, "luna16: absent scans and masks do not block, as experiments.prepare has it")
flags.DEFINE_list("train_subsets", None, "subsets that are trained on; as configs/focalmix.py has, or own.py chooses")
flags.DEFINE_list("test_subsets", None, "subsets that are tested on; as configs/focalmix.py has, or own.py chooses")
flags.DEFINE_string("data_dir", None, "nlst, folder: where experiments.prepare will write; headers are read once then")
flags.DEFINE_enum("region", LUNGS, REGIONS, "folder: what will be searched, as data.region of the config has it")
flags.DEFINE_integer(
    "workers", os.cpu_count() or 1, "processes; each takes 0.5 GB of memory at most, 2 to find lungs", lower_bound=1
)


def main(argv: Sequence[str]) -> None:
    """Checks, prints, writes the page."""
    del argv
    data_set_flags.refuse_those_of_others(DATA_SETS_OF_FLAG)
    command.expect_paths("labels", "labelled_list", "lungs")
    output = writable_directory(FLAGS.output) if FLAGS.output else None
    with tempfile.TemporaryDirectory() as temporary:
        index_dir = Path(FLAGS.data_dir or temporary) / FLAGS.dataset / "index"
        report = _check(Path(FLAGS.manual_dir), index_dir)
    print(text_report(report), flush=True)
    if output:
        write_text(output / PAGE, check_page(report))
        print(f"written to {output / PAGE}")
    sys.exit(0 if report.can_start else BLOCKED_STATUS)


def _check(folder: Path, index_dir: Path) -> CheckReport:
    work: dict[str, Any] = {"workers": FLAGS.workers, "progress": progress_bar("checking", "scans")}
    if FLAGS.dataset == "nlst":
        least = {"least_slices": FLAGS.min_slices} if data_set_flags.given("min_slices") else {}
        return nlst_check.check_nlst(folder, index_dir, **least, **work)
    if FLAGS.dataset == "luna16":
        split = focalmix.get_config().split
        return luna16_check.check_luna16(folder, allow_absent=FLAGS.allow_absent, **_sides(split), **work)
    tables = data_set_flags.given("labels", "labelled_list", "lungs")
    given: dict[str, Any] = {name: Path(path) for name, path in tables.items()}
    given |= {"frame": FLAGS.frame, "region": FLAGS.region}
    report = folder_check.check_folder(folder, index_dir=index_dir, sides_of=_sides_of_own, **given, **work)
    return dataclasses.replace(report, notices=(*report.notices, *_validation_notices(report)))


def _validation_notices(report: CheckReport) -> list[str]:
    """That own.py will keep no scans apart to validate on, where these are too few."""
    labelled_of_fold = Counter(each.scan.subset for each in report.scans if each.scan.is_labelled)
    train, _ = _sides_of_own(labelled_of_fold)
    trainable = sum(labelled_of_fold[fold] for fold in train)
    told = sizing.validation_in_words(trainable) if trainable else ""
    return [told] if told else []


def _sides_of_own(labelled_of_fold: Mapping[int, int]) -> tuple[Collection[int], Collection[int]]:
    """As the flags say, or else as `configs/own.py` chooses; where nothing can be, no fold is tested on."""
    try:
        chosen = sizing.choose_split(labelled_of_fold, 0).fields
        split = ConfigDict({name: chosen[f"split.{name}"] for name in ("train_subsets", "test_subsets")})
    except InputError:
        split = ConfigDict({"train_subsets": tuple(labelled_of_fold), "test_subsets": ()})
    sides = _sides(split)
    return sides["train_subsets"], sides["test_subsets"]


def _sides(split: ConfigDict) -> dict[str, Any]:
    train, test = _subsets("train_subsets", split), _subsets("test_subsets", split)
    if both := sorted(train & test):
        raise InputError(f"--train_subsets, --test_subsets: {both} are in both: a subset may be in one only")
    return {"train_subsets": train, "test_subsets": test}


def _subsets(name: str, split: ConfigDict) -> frozenset[int]:
    if not FLAGS[name].present:
        return frozenset(split[name])
    try:
        return frozenset(map(int, getattr(FLAGS, name)))
    except ValueError:
        raise InputError(f"--{name}: found {','.join(getattr(FLAGS, name))}, expected numbers such as 0,1,2") from None


if __name__ == "__main__":
    command.run(main)
