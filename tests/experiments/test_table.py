"""The command of tables: what it lists and refuses; two tables from end to end, one of them killed on its way."""

import json
import re
import subprocess
import sys
import time

import pytest

# A network of one stage on small chests, which compiles in seconds.
TINY = {
    "steps": 8,  # enough for a burn-in and three searches
    "data.phantom.scans": 24,
    "data.phantom.chest_zyx_mm": (64.0, 64.0, 64.0),
    "patches.side": 16,
    "patches.jitter": 4,
    "patches.labelled_batch": 2,
    "model.features": (8,),
    "model.blocks": (1,),
    "model.pyramid_features": 8,
    "anchors.strides": (2,),
    "anchors.sides_mm": ((4.5, 7.0),),
    "mixup.object_window": 8,
    "inference.overlap": 0,
    "logging.log_every": 1,
    "logging.save_every": 1,
    "logging.bootstraps": 10,
}


@pytest.fixture(scope="module")
def changes(tmp_path_factory):
    """The tiny config, with a phantom that all tests here share."""
    folder = tmp_path_factory.mktemp("data")
    return TINY | {f"data.{name}": str(folder / name) for name in ("manual_dir", "data_dir", "cache_dir")}


def arguments(*flags, changes=None):
    given = [f"--set={field}={value}" for field, value in (changes or {}).items()]
    return [sys.executable, "-m", "experiments.table", "--workdir=tables", *flags, *given]


def table(folder, *flags, changes=None):
    command = arguments(*flags, changes=changes)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_list_makes_nothing(tmp_path):
    done = table(tmp_path, "--name=gain", "--data=phantom", "--list", "--rows=focalmix_10,all", "--draws=0,7")
    assert done.returncode == 0, done.stderr
    *runs, last = done.stdout.splitlines()
    assert [line.split()[:3] for line in runs] == [
        [row, "draw", draw] for draw in "07" for row in ("focalmix_10", "all")
    ]
    assert last == "0 done, 4 left; hours expected: unknown before one is done"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--name=gain", "--data=phantom", "--draws=0,x"), "--draws=0,x: expected seeds with a comma between two"),
        (("--name=gain", "--data=phantom", "--draws=1,1"), "--draws=1,1: expected each draw once"),
        (("--name=table1", "--data=luna16"), "data/LUNA16"),  # it is absent
    ],
)
def test_what_cannot_be_made_is_one_line(tmp_path, flags, told):
    done = table(tmp_path, *flags)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told in line
    assert "failed" not in done.stdout


@pytest.mark.slow
def test_two_processes_share_a_table_of_which_a_third_was_killed(tmp_path, changes):
    changes = changes | {"split.unlabelled": 3, "patches.unlabelled_batch": 2}
    flags = ("--name=gain", "--data=phantom", "--rows=supervised_10,focalmix_10", "--draws=0,1")
    command = arguments(*flags, changes=changes)
    results = tmp_path / "tables" / "results"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 300
        while not list(results.glob("[!.]*.json")):
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        killed.kill()
    finished = {path: path.stat().st_mtime_ns for path in results.glob("[!.]*.json")}
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(list(results.glob("[!.]*.json"))) == 4
    made = [line for output, _ in said for line in output.splitlines() if re.search(r" minutes, \S+\.json$", line)]
    assert len(made) == 4 - len(finished)
    assert len(set(made)) == len(made)
    markdown = (tmp_path / "tables" / "gain_phantom.md").read_text()
    assert "- runs: 4 of 55" in markdown
    assert "10 labelled, FocalMix - 10 labelled, supervised" in markdown
    assert all(markdown in output for output, _ in said)
    numbers = json.loads((tmp_path / "tables" / "gain_phantom.json").read_text())
    assert [row["name"] for row in numbers["rows"]] == ["supervised_10", "focalmix_10"]
    verify_one(tmp_path)


def verify_one(folder):
    """Any row's run is one that `experiments.reproduce` makes again."""
    record = next((folder / "tables" / "runs").glob("*/run/run.json"))
    done = subprocess.run(
        [sys.executable, "-m", "experiments.reproduce", f"--run={record}", "--verify"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 steps compared, all equal" in done.stdout


@pytest.mark.slow
def test_a_table_of_luna16_is_made_of_a_phantom_in_its_place(tmp_path, monkeypatch, changes):
    from experiments.runs.table import table_report, table_work, tables
    from experiments.runs.table.tables import DataSet

    monkeypatch.setitem(
        tables.DATA_SETS, "luna16", DataSet("LUNA16", "configs/phantom.py", tables.DATA_SETS["luna16"].job)
    )
    whole = tables.load_table("table2", "luna16")
    given = [f"{field}={value}" for field, value in changes.items()]
    runs = tables.runs_of(whole, "luna16", rows=["split", "split_mixup"], changes=given)
    assert table_work.make_runs("table2", runs, tmp_path) == []
    state = table_work.standing(runs, table_work.results_known(tmp_path))
    report = table_report.table_report(whole, "luna16", state, changes=given, bootstraps=20)
    assert report.facts["data"] == "scans in LUNA16's layout, not its 888 scans"
    assert report.paper == {}
    assert [row.name for row in report.numbers.rows] == ["split", "split_mixup"]
    (claim,) = report.numbers.claims
    assert claim.difference.draws == 1
    table_report.write_report(tmp_path, "table2", tables.DATA_SETS["luna16"].job.printed(whole, report))
    assert {path.suffix for path in tmp_path.glob("table2.*")} == {".md", ".html", ".json", ".png"}


@pytest.mark.slow
def test_every_row_has_a_step_that_can_be_built():
    """All on the phantom, and LUNA16's own; of runs that differ in nothing that a step is built of, one."""
    import jax

    from experiments.runs.focalmix.focalmix_config import FocalMixConfig
    from experiments.runs.focalmix.focalmix_job import abstract_training
    from experiments.runs.table import tables
    from medssl_jax.core.settings import settings_from

    beside = (
        *("seed", "steps", "split.", "data.", "inference.", "score."),
        *("optimiser.learning_rate", "loss.negative_weight", "loss.positive_weight", "ssl.temperature", "ssl.weight"),
        *("patches.unlabelled_nodule_share", "patches.candidate"),
    )
    different = {}
    of_phantom = [
        (name, "phantom") for name in tables.table_names() if name != "network" and not name.startswith("sos")
    ]
    for name, data in [*of_phantom, ("table1", "luna16"), ("network", "real_crops")]:
        whole = tables.load_table(name, data)
        for run in tables.runs_of(whole, data, draws=whole.draws[:1]):
            fields = {field: value for field, value in run.fields.items() if not field.startswith(beside)}
            different.setdefault(json.dumps(fields), run)
    assert len(different) > 15
    for run in different.values():
        _, step, state, batch = abstract_training(settings_from(FocalMixConfig, run.config), jax.devices()[:1])
        after, metrics = jax.eval_shape(step, state, batch)
        assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, state), run.row
        assert metrics["loss"][0].shape == ()
