"""A folder and a table are enough: what is chosen is kept with the run, which goes on with it, and fits."""

import json

import jax
import numpy as np
import pytest

from experiments.configs import own, phantom
from experiments.runs.focalmix import chosen
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.focalmix_job import step_bytes
from experiments.runs.focalmix.scans import all_metadata, prepared_scans, split_of
from experiments.runs.focalmix.sizing import Devices, choose_sizes
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, write_metaimage

GIB = 2**30
TABLE = "seriesuid,coordX,coordY,coordZ,diameter_mm"


@pytest.fixture
def folder(tmp_path):
    """Three labelled scans in two folds, and one without labels, each with a mask of its lungs."""
    grid = Grid((24, 24, 24), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    (tmp_path / "scans").mkdir()
    (tmp_path / "lungs").mkdir()
    for name in "abcd":
        write_metaimage(tmp_path / "scans" / f"{name}.mhd", Volume(np.full(grid.size_zyx, -800, np.int16), grid, ""))
        write_metaimage(tmp_path / "lungs" / f"{name}.mhd", Volume(np.ones(grid.size_zyx, np.uint8), grid, ""))
    (tmp_path / "labels.csv").write_text("\n".join([TABLE, "a,9,9,9,6", "b,9,9,9,8", "c,9,9,9,20"]) + "\n")
    (tmp_path / "scans" / "folds.csv").write_text("seriesuid,subset\na,0\nb,0\nc,7\n")
    return tmp_path


def config_of(folder, **given):
    config = own.get_config()
    config.data.manual_dir = str(folder / "scans")
    config.data.workers = 1
    config.data.options.labels, config.data.options.lungs = str(folder / "labels.csv"), str(folder / "lungs")
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in given.items()})
    config.lock()
    return config


def never(_):
    raise AssertionError("the compiler was asked again")


def test_a_folder_and_a_table_are_a_whole_config_which_a_run_goes_on_with(folder, capsys, monkeypatch):
    workdir = folder / "run"
    config, sources = chosen.with_choice(config_of(folder), workdir, lambda settings: settings.patches.side)
    settings = settings_from(FocalMixConfig, config)
    assert len(sources) == 1
    assert (settings.split.train_subsets, settings.split.test_subsets) == ((0,), (7,))
    assert (settings.patches.side, settings.patches.labelled_batch, settings.patches.unlabelled_batch) == (32, 4, 4)
    # Of the lesions that are trained on, which the one of 20 mm is not.
    assert settings.anchors.sides_mm == ((4.5, 7.0, 10.0),)
    assert settings.data.data_dir == str(workdir / "prepared")
    # Two scans to train on are too few to validate on some of them.
    assert (settings.split.validation, settings.validation.every) == (0, 0)
    told = capsys.readouterr().out
    assert "validation: none, since of the 2 labelled scans outside the tested folds a fifth" in told
    assert "compiling a step of 4 + 4 patches of 32 mm" in told
    assert "lesions: 2 to train on, 6 to 8 mm (5 to 95 %): patches of 32 mm, anchors of 4.5 to 10 mm\n" in told
    # Started again, elsewhere: nothing is looked at, and the config is the same.
    monkeypatch.setattr(chosen, "_devices", never)
    moved = workdir.rename(folder / "moved")
    again, none = chosen.with_choice(config_of(folder), moved, never)
    assert none is None
    again.data.data_dir, again.data.cache_dir = config.data.data_dir, config.data.cache_dir
    assert again.to_json() == config.to_json()
    assert "lesions: 2 to train on" in capsys.readouterr().out


def test_what_is_given_is_kept_and_nothing_is_compiled_for_what_no_device_decides(folder):
    given = {field: value for field, value in phantom_fields().items() if not field.startswith("split.")}
    given |= {"steps": 7, "optimiser.accumulate": 1, "data.data_dir": str(folder / "elsewhere")}
    config = config_of(folder, **given)
    filled, _ = chosen.with_choice(config, folder / "run", never)
    assert filled.steps == 7
    assert filled.split.test_subsets == (7,)
    assert (folder / "elsewhere" / "folder").is_dir()
    assert json.loads((folder / "run" / "choice.json").read_text())["fields"].keys() == {
        "split.train_subsets",
        "split.test_subsets",
        "split.unlabelled_extra",
        "split.validation",
    }


def test_what_is_given_is_kept_beside_what_is_chosen(folder):
    filled, _ = chosen.with_choice(config_of(folder, steps=50, patches__jitter=3), folder / "run", lambda _: 0)
    assert (filled.steps, filled.patches.jitter, filled.patches.side) == (50, 3, 32)


def test_lesions_are_in_mm_whatever_the_voxels(folder, capsys):
    config = config_of(folder, data__spacing_mm=2.0)
    filled, _ = chosen.with_choice(config, folder / "run", lambda _: 0)
    told = capsys.readouterr().out
    assert "lesions: 2 to train on, 6 to 8 mm (5 to 95 %): patches of 64 mm, anchors of 9 to 9 mm" in told
    assert "compiling a step of 4 + 4 patches of 64 mm" in told
    assert filled.patches.side == 32


def test_some_scans_validate_where_there_are_enough(folder, capsys, monkeypatch):
    monkeypatch.setattr(own, "FEWEST_VALIDATED", 1)
    config, _ = chosen.with_choice(config_of(folder), folder / "run", lambda _: 0)
    settings = settings_from(FocalMixConfig, config)
    assert settings.split.validation == 1
    assert settings.validation.every >= settings.steps  # on a CPU once, at the end
    split = split_of(settings.split, all_metadata(prepared_scans(settings.data)))
    assert sorted((*split.labelled, *split.validation)) == ["a", "b"]
    told = capsys.readouterr().out
    assert "validation: 1 of the 2 labelled scans outside the tested folds, with 1 lesions, are not trained on" in told
    # Lesions to train on are those of the scan that is left.
    assert "lesions: 1 to train on, " in told


def test_lesions_that_all_validate_are_given_back_to_training(folder, monkeypatch):
    """Of two scans to train on, either may be drawn: whose lesions would leave the other none."""
    monkeypatch.setattr(own, "FEWEST_VALIDATED", 1)
    (folder / "labels.csv").write_text("\n".join([TABLE, "a,9,9,9,6", "c,9,9,9,20"]) + "\n")
    (folder / "listed.csv").write_text("a\nb\nc\n")
    given = {"data__options__labelled_list": str(folder / "listed.csv")}
    for seed in range(4):
        workdir = folder / f"run{seed}"
        config, _ = chosen.with_choice(config_of(folder, **given, split__seed=seed), workdir, lambda _: 0)
        # Without a lesion a scan gives no threshold; with the only one it leaves nothing to learn.
        assert config.split.validation == 0


def test_a_number_of_validation_scans_that_is_given_is_kept(folder):
    config = config_of(folder, split__validation=1)
    chosen.check_config(config)
    filled, _ = chosen.with_choice(config, folder / "run", lambda _: 0)
    settings = settings_from(FocalMixConfig, filled)
    assert (settings.split.validation, settings.validation.every > 0) == (1, True)
    chosen.check_config(config_of(folder, validation__every=1000))


def phantom_fields():
    config = phantom.get_config()
    config.optimiser.accumulate = 1
    return {
        field: config[field] if "." not in field else config[field.split(".")[0]][field.split(".")[1]]
        for field in own.CHOSEN
    }


def test_a_config_with_every_field_is_left_alone(tmp_path):
    config = phantom.get_config()
    assert chosen.with_choice(config, tmp_path / "run", never) == (config, None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"fields": {"steps": 3}}',
        '{"fields": {"seed": 3}, "reasons": []}',
        '{"fields": [], "reasons": 1}',
    ],
)
def test_a_choice_that_is_none_is_refused(folder, text):
    (folder / "choice.json").write_text(text)
    with pytest.raises(InputError, match=r"choice.json: not what a run wrote \(.*\): put it back"):
        chosen.with_choice(config_of(folder), folder, never)


def test_a_run_without_its_choice_is_refused(folder):
    (folder / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"has a run, but no choice\.json: put it back, or choose another --workdir"):
        chosen.with_choice(config_of(folder), folder, never)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"patches__nodule_share": 2.0}, "patches.nodule_share is 2.0, expected 0 or more, at most 1"),
        ({"steps": 0}, "steps is 0, expected 1 or more"),
    ],
)
def test_what_is_wrong_whatever_is_chosen_is_told_first(tmp_path, given, told):
    config = own.get_config()
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in given.items()})
    with pytest.raises(InputError, match=told):
        chosen.check_config(config)


@pytest.mark.slow
def test_the_choice_fits_by_the_compilers_own_account(monkeypatch):
    """Of a network of one narrow stage, which compiles in seconds."""
    narrow = own.NETWORKS["small"].copy_and_resolve_references()
    narrow.update({"features": (8,), "blocks": (1,), "pyramid_features": 8, "head_depth": 0})
    monkeypatch.setitem(own.NETWORKS, "small", narrow)
    monkeypatch.setattr(own, "SIDES", (16,))
    monkeypatch.setattr(own, "STRIDES_FROM", {2: 0.0})
    config = chosen._with_region(own.get_config())
    config.split.update({"train_subsets": (0,), "test_subsets": (1,), "unlabelled_extra": 0, "validation": 0})
    config.data.data_dir = config.data.cache_dir = "nowhere"
    asked = {}

    def account(fields):
        rows = fields["patches.labelled_batch"]
        if rows not in asked:
            asked[rows] = step_bytes(settings_from(FocalMixConfig, chosen._with(config, fields)))
        return asked[rows]

    def choice(memory):
        return choose_sizes(9, 0, [5.0, 8.0], Devices("cpu", "cpu", 1, memory), account).fields

    assert choice(1000 * GIB)["patches.labelled_batch"] == 4
    tight = choice(2 * asked[4] - 2)
    assert (tight["patches.labelled_batch"], tight["optimiser.accumulate"]) == (2, 2)
    assert account(tight) <= asked[4] - 1
    with pytest.raises(InputError, match="the smallest job, patches of 16 mm, needs"):
        choice(asked[2])


def test_the_devices_that_a_cpu_is_divided_into_share_its_memory(monkeypatch):
    (first, *_) = jax.local_devices()
    monkeypatch.setattr(chosen, "memory_bytes", lambda _: 8 * GIB)
    for count in (1, 4):
        monkeypatch.setattr(jax, "devices", lambda count=count: [first] * count)
        monkeypatch.setattr(jax, "local_devices", lambda count=count: [first] * count)
        assert chosen._devices() == Devices("cpu", first.device_kind, count, 8 * GIB // count)


def test_the_devices_are_those_of_this_machine():
    devices = chosen._devices()
    assert (devices.platform, devices.count) == ("cpu", jax.device_count())
    assert devices.memory_bytes * devices.count > 2**20
