"""Every table on every data set: names that stand for something, configs that are sound, draws that are paired."""

import pytest

from experiments.command import load_config
from experiments.configs import focalmix, phantom_table
from experiments.runs.focalmix.focalmix_table import FOCALMIX, forward_passes
from experiments.runs.table.tables import (
    DATA_SETS,
    Run,
    load_table,
    means_the_same,
    runs_of,
    table_names,
    telling_fields,
)
from experiments.tables._arms import STEPS
from medssl_jax.core.errors import InputError

SLIDES = ("lks", "slide_phantom", "telling_phantom")
SCANS = tuple(name for name in DATA_SETS if name not in SLIDES)
OF_SOME_DATA = {
    "network": ("real_crops",),
    "changes": ("phantom", "real_crops"),
    "combined": ("phantom", "real_crops"),
    "longer": ("phantom", "real_crops"),
    **dict.fromkeys(("sos", "sos_parts", "sos_asking", "sos_top_k", "sos_weights"), SLIDES),
    **dict.fromkeys(("figure3", "nlst", "table1", "table2"), ("luna16", "phantom")),
}
EVERY = [(name, data) for name in table_names() for data in OF_SOME_DATA.get(name, SCANS)]


def test_the_tables_are_those_of_the_paper_and_ours():
    of_the_paper = {"figure3", "nlst", "table1", "table2", "sos"}
    assert set(table_names()) == of_the_paper | {
        *(
            "ablations",
            "changes",
            "combined",
            "gain",
            "longer",
            "network",
            "oracle",
            "peers",
            "sos_parts",
            "sos_asking",
            "sos_top_k",
            "sos_weights",
        )
    }


@pytest.mark.parametrize("data", SLIDES)
def test_all_numbers_of_patches_share_one_training_which_is_that_of_sos(data):
    rows = [run for run in runs_of(load_table("sos_top_k", data), data, draws=[0]) if run.row.startswith("sos")]
    (of_sos,) = [run for run in runs_of(load_table("sos", data), data, draws=[0]) if run.row == "sos"]
    assert len({run.key for run in rows}) == len(rows) > 4
    assert {run.training for run in rows} == {of_sos.training}


@pytest.mark.parametrize("data", SLIDES)
def test_rows_with_slides_held_out_read_and_update_as_often_as_the_others(data):
    configs = {run.row: run.config for run in runs_of(load_table("sos_asking", data), data, draws=[0])}
    read, updates = (
        {name: count(config) for name, config in configs.items()}
        for count in (lambda c: c.steps * c.batches.slides, lambda c: c.steps // c.optimiser.accumulate)
    )
    assert len({*read.values()}) == len({*updates.values()}) == 1
    shares = {name: config.batches.held_out / config.batches.slides for name, config in configs.items()}
    assert shares.pop("rdms") == 0
    assert {*shares.values()} == {0.25}


@pytest.mark.parametrize(("name", "data"), EVERY)
def test_every_row_builds_its_config_and_every_name_is_a_row(name, data):
    table = load_table(name, data)
    rows = [row.name for row in table.rows]
    lines = rows + [line.name for line in table.joined]
    assert len(set(lines)) == len(lines)
    assert len(set(table.draws)) == len(table.draws)
    assert {part for line in table.joined for part in line.rows} <= set(rows)
    assert {each for pair in (*table.differences, *table.shares, *table.gains) for each in pair} <= set(lines)
    assert (table.plot == "sweep") == all(row.x is not None for row in table.rows)
    runs = runs_of(table, data, draws=table.draws[-1:])  # one is as good as all: a draw is two fields
    assert [run.row for run in runs] == rows
    for run in runs:
        assert run.config.seed == run.config.split.seed == run.draw


def test_arms_that_are_set_against_each_other_differ_in_nothing_else():
    fields = {run.row: run.fields for run in runs_of(load_table("gain", "phantom"), "phantom", draws=[3])}

    def changed(a, b):
        return {name for name in fields[a] if fields[a][name] != fields[b][name]}

    unlabelled = {"split.unlabelled", "patches.unlabelled_batch"}
    assert changed("supervised_10", "focalmix_10") == unlabelled
    assert changed("supervised_compute_10", "focalmix_10") == unlabelled | {"steps"}
    assert changed("supervised_10", "all") == {"split.labelled"}
    optimiser = {"optimiser.schedule", "optimiser.ema_decay"}
    assert changed("supervised_10", "supervised_steady_10") == optimiser
    others = {"ssl.targets", "ssl.searches", "patches.candidate_share"}
    assert changed("focalmix_10", "focalmix_plus_10") == optimiser | others
    assert changed("supervised_steady_10", "focalmix_plus_10") == unlabelled | others


@pytest.mark.parametrize("data", SCANS)
def test_changes_that_go_by_the_steps_know_how_many_there_are(data):
    assert STEPS[data] == load_config(DATA_SETS[data].config).steps


def test_focalmix_plus_of_the_table_is_that_of_its_config():
    (run,) = runs_of(load_table("gain", "luna16"), "luna16", rows=["focalmix_plus_25"], draws=[0])
    assert run.fields == telling_fields(load_config("configs/luna_plus.py:25"))


@pytest.mark.parametrize("peer", ["mean_teacher", "fixmatch", "dense_teacher"])
def test_peers_have_the_data_the_network_and_the_budget_of_focalmix(peer):
    runs = {run.row: run.config for run in runs_of(load_table("peers", "real_crops"), "real_crops", draws=[0])}
    ours, theirs = runs["focalmix"], runs[peer]
    for section in ("steps", "seed", "data", "split", "patches", "model", "anchors", "loss", "inference", "score"):
        assert theirs[section] == ours[section], section
    assert theirs.ssl != ours.ssl


def test_equal_computation_counts_passes_of_patches():
    """A supervised step is 3 passes of 4 patches; FocalMix's 3 of 8, and 4 views of 4 forwards: 12 and 40."""
    runs = {run.row: run.config for run in runs_of(load_table("gain", "phantom"), "phantom", draws=[0])}
    few, more, method = (runs[name] for name in ("supervised_10", "supervised_compute_10", "focalmix_10"))
    assert (forward_passes(few), forward_passes(method)) == (12, 40)
    for known in ("truth", "background", "marks"):  # predict no view
        method.ssl.targets = known
        assert forward_passes(method) == 24
    method.ssl.targets = "pseudo"
    assert more.steps * forward_passes(more) == method.steps * forward_passes(method) == 60_000


def test_the_ten_folds_test_every_subset_once():
    runs = runs_of(load_table("table2", "luna16"), "luna16")
    folds = [run.config.split for run in runs if run.row.startswith("fold_")]
    assert sorted(subset for split in folds for subset in split.test_subsets) == list(range(10))
    for split in folds:
        assert sorted((*split.test_subsets, *split.train_subsets)) == list(range(10))
        assert (split.labelled, split.unlabelled) == (-1, 0)


def test_changes_are_of_the_config_that_rows_change_further():
    table = load_table("gain", "phantom")
    runs = runs_of(
        table, "phantom", rows=["focalmix_10", "supervised_10"], draws=[0], changes=["steps=7", "split.unlabelled=5"]
    )
    assert [run.config.steps for run in runs] == [7, 7]
    assert [run.config.split.unlabelled for run in runs] == [5, 0]
    folder = runs_of(table, "phantom", rows=["all"], draws=[0], changes=["data.manual_dir=/a/b"])[0]
    assert folder.config.data.manual_dir == "/a/b"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("steps=0", "row all: config field steps is 0, expected 1 or more"),
        (
            "optimiser.lerning_rate=1",
            "row all: config field optimiser.lerning_rate: .*mean optimiser.learning_rate",
        ),
        ("steps", "row all: config field steps is ''"),
    ],
)
def test_a_change_without_sense_is_named(change, told):
    with pytest.raises(InputError, match=told):
        runs_of(load_table("gain", "phantom"), "phantom", rows=["all"], changes=[change])


def test_what_is_not_there_is_named():
    with pytest.raises(InputError, match="--name=gains: no such table; did you mean gain"):
        load_table("gains", "phantom")
    with pytest.raises(
        InputError,
        match="--data=moon: expected one of luna16, phantom, real_crops, lks, slide_phantom, telling_phantom",
    ):
        load_table("gain", "moon")
    for name, of_data in OF_SOME_DATA.items():
        for data in DATA_SETS.keys() - {*of_data}:
            served = ", ".join(each for each in DATA_SETS if each in of_data)
            with pytest.raises(InputError, match=f"no such table on these data, expected one of {served}$"):
                load_table(name, data)
    with pytest.raises(InputError, match="row 'x': not in the table, expected one of supervised_10, "):
        runs_of(load_table("gain", "phantom"), "phantom", rows=["x"])


def test_folders_threads_and_logs_do_not_name_a_run():
    def key(**changes):
        config = phantom_table.get_config()
        config.update_from_flattened_dict(changes)
        return Run("row", 0, config, "phantom").key

    assert key() == key(
        **{"data.manual_dir": "x", "data.cache_dir": "y", "logging.log_every": 5, "patches.loader_threads": 1}
    )
    others = [key(seed=1), key(steps=3), key(**{"inference.overlap": 3}), key(**{"data.phantom.scans": 4})]
    assert len({key(), *others, Run("row", 0, phantom_table.get_config(), "luna16").key}) == 6


def test_a_result_older_than_a_field_had_its_default():
    wanted = telling_fields(phantom_table.get_config())
    assert means_the_same(wanted, wanted, FOCALMIX)
    default = telling_fields(focalmix.get_config())
    young, changed = "ssl.views", "steps"
    assert wanted[young] == default[young]
    assert wanted[changed] != default[changed]
    assert means_the_same({name: value for name, value in wanted.items() if name != young}, wanted, FOCALMIX)
    assert not means_the_same({name: value for name, value in wanted.items() if name != changed}, wanted, FOCALMIX)
    assert not means_the_same(wanted | {young: 2}, wanted, FOCALMIX)
    assert not means_the_same(wanted | {"ssl.was_removed": 2}, wanted, FOCALMIX)
