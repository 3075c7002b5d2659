"""Every field of both methods' configs, set to what makes no sense: refused by name, or it does make sense."""

import dataclasses
import functools
import math
import re
import typing

import ml_collections
import pytest
from absl import flags
from flax.traverse_util import flatten_dict
from ml_collections import config_flags

from experiments import command
from experiments.configs import phantom, phantom_nlst, phantom_sos
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.jobs import job_of
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import field_names, settings_from

CONFIGS = {"focalmix": phantom, "sos": phantom_sos}
KINDS = {"focalmix": FocalMixConfig, "sos": SosConfig}
FIELDS = [
    (name, field) for name, module in CONFIGS.items() for field in flatten_dict(module.get_config().to_dict(), sep=".")
]
TEXTS = ("-1", "0", "1000000000", "nan", "inf", "()", "", "x", "(1,)", "('a', 'b')")
# Of each text, the fields that it means something to.
SENSIBLE = {
    "-1": {"split.labelled", "split.unlabelled", "split.unlabelled_extra"},
    "0": {
        *("seed", "split.seed", "data.phantom.seed", "data.workers", "split.unlabelled_extra"),
        *("split.train_subsets", "split.test_subsets", "data.background_threshold"),
        *("split.validation", "validation.every"),
        *(
            "patches.nodule_share",
            "patches.unlabelled_nodule_share",
            "patches.candidate_share",
            "patches.jitter",
            "mixup.object_nms_iou",
            "inference.nms_iou",
            "inference.overlap",
        ),
        *("model.stem_features", "model.head_depth", "model.low_stem_block", "model.high_stem_block"),
        *(
            "model.intensity_mean",
            "model.intensity_deviation",
            "batches.chunk",
            "batches.held_out",
            "inference.c",
            "inference.top_k",
        ),
        *("ssl.ramp_start_share", "ssl.ramp_share", "method.baseline_decay"),
        *("ssl.weight", "ssl.sure_positive_ratio", "ssl.sure_background_below", "ssl.marks_found_share"),
        *(f"augmentation.{name}" for name in ("intensity_scale", "intensity_shift", "blur", "noise", "cut_out")),
        *("augmentation.labelled", "mixup.across"),
        *("loss.negative_weight", "loss.positive_weight", "loss.box_weight", "loss.gamma"),
        *(f"method.{name}_weight" for name in ("low", "high", "paradoxical", "hesitant", "hurried", "policy")),
        *("method.entropy_weight", "method.even_weight", "method.ask_cost", "method.budget_rate"),
        "method.gatekeeper_share",
        *(f"optimiser.{name}" for name in ("warmup_share", "b1", "b2", "weight_decay", "ema_decay")),
        *(f"data.phantom.share_{name}" for name in ("without_nodules", "fine_only", "hazy", "hinted")),
        # Switches, of which 0 is one side.
        *("data.allow_absent", "data.mask_lungs", "model.remat", "ssl.judge_pseudo_labels"),
        *("mixup.image", "mixup.object", "batches.symmetries", "method.stop_feature", "method.stop_paradoxical_low"),
        *("method.use_policy", "method.use_deferral"),
    },
    "1000000000": {"seed", "split.seed", "data.phantom.seed", "steps", "logging.save_every"}
    | {"optimiser.clip_norm", "mixup.object_score"},  # no clip; no pseudo-label is an object
    "()": {"inference.top_k_tried"},
    "(1,)": {"inference.top_k_tried", "split.train_subsets", "split.test_subsets", "score.fps_per_scan"},
    "": {"model.pretrained"},
}
FOLDERS = {"data.manual_dir", "data.data_dir", "data.cache_dir"}  # of any name


def parsed(monkeypatch, config, argument):
    """The config with an override, as a command reads it from its command line."""
    monkeypatch.setattr("sys.argv", ["command", argument])  # where ml_collections looks for overrides
    own = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", config, flag_values=own)
    own(["command", argument])
    return own.config


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_value_without_sense_is_refused_by_name(monkeypatch, name, field):
    told = {}
    for text in TEXTS:
        told[text] = None
        try:
            config = parsed(monkeypatch, CONFIGS[name].get_config(), f"--config.{field}={text}")
            job_of(config).settings(config)
        except (flags.IllegalFlagValueError, InputError) as error:
            told[text] = str(error)
    sensible = {text for text in TEXTS if field in SENSIBLE.get(text, ())}
    assert {text for text in TEXTS if told[text] is None} == (set(TEXTS) - {""} if field in FOLDERS else sensible)
    assert not [each for each in told.values() if each and field.rpartition(".")[2] not in each]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"patches.jitter": 13}, "patches.jitter is 13, expected at most 12, half of patches.side"),
        (
            {"patches.labelled_batch": 2**20 + 1},
            "patches.labelled_batch is 1048577, expected 1 or more, at most 1048576",
        ),
        ({"patches.side": 528}, "patches.side is 528, expected 1 or more, at most 512"),
        ({"patches.scale_range": (1.25, 0.75)}, "patches.scale_range is .*, expected two numbers, the smaller first"),
        ({"patches.scale_range": (0.75, 1.0, 1.25)}, "patches.scale_range is .*, expected a tuple of 2, each of them"),
        ({"patches.scale_range": (10**400, 1)}, "patches.scale_range is .*, expected a tuple of 2, each of them"),
        ({"data.phantom.scans": 10**400}, "phantom scans: found 1000.*, expected 1 or more, at most 100000"),
        ({"data.phantom.chest_zyx_mm": (10**400, 1, 1)}, "phantom chest_zyx_mm: found .*, expected a tuple of 3"),
        ({"patches.nodule_share": 1.5}, "patches.nodule_share is 1.5, expected 0 or more, at most 1"),
        ({"model.features": (16, 32, 48, 0)}, "model.features is .*, expected a tuple of 1 to 10, each of them 1 or"),
        ({"model.blocks": (1, 1, 1)}, "model.blocks is .*, expected as many as model.features"),
        ({"anchors.sides_mm": ((4.0,), (), (28.0,))}, "anchors.sides_mm is .*, expected a tuple of 1 to"),
        ({"anchors.strides": (4, 4, 8)}, "anchors.strides is .*, expected each stride once"),
        ({"optimiser.b1": 1.0}, "optimiser.b1 is 1.0, expected 0 or more, below 1"),
        (
            {"split.labelled": -1, "split.unlabelled": -1},
            "split.unlabelled is -1, expected a number where split.labelled",
        ),
        (
            {"ssl.sure_background_below": 0.5},
            "ssl.sure_background_below is 0.5, expected at most ssl.sure_positive_from, 0.3",
        ),
        ({"ssl.teacher": "ema"}, "ssl.teacher is ema, expected student where optimiser.ema_decay is 0"),
        (
            {"ssl.targets": "truth", "split.unlabelled_extra": -1},
            "ssl.targets is truth, expected another where split.unlabelled_extra is not 0",
        ),
        (
            {"ssl.targets": "background"},
            "ssl.targets is background, expected another where split.unlabelled is not 0, since labelled data sets",
        ),
        (
            {"patches.candidate_share": 0.5, "ssl.ramp_start_share": 0.0},
            "patches.candidate_share is 0.5, expected 0, or unlabelled patches that begin to count later than at step",
        ),
        (
            {"ssl.targets": "marks", "ssl.ramp_start_share": 0.0},
            "ssl.targets is marks, expected another, or unlabelled patches that begin to count later than at step 0",
        ),
        (
            {"ssl.targets": "marks", "ssl.ramp_start_share": 0.5, "steps": 10, "ssl.searches": 9},
            "ssl.searches is 9, expected at most the 5 steps after the burn-in",
        ),
        (
            {"ssl.marks_found_share": 3.0},
            "ssl.marks_doubtful_share is 2.0, expected at least ssl.marks_found_share, 3.0",
        ),
        (
            {"patches.unlabelled_nodule_share": 0.5, "split.unlabelled_extra": 5},
            "patches.unlabelled_nodule_share is 0.5, expected 0 where split.unlabelled_extra is not 0",
        ),
        ({"optimiser.schedule": "linear"}, "optimiser.schedule is linear, expected cosine or constant"),
        ({"split.validation": 5}, "validation.every is 0, expected 0 just where split.validation is 0"),
        ({"validation.every": 200}, "validation.every is 200, expected 0 just where split.validation is 0"),
        (
            {"split.validation": 5, "validation.every": 300},
            "validation.every is 300, expected a multiple of logging.save",
        ),
        ({"score.checkpoint": "best"}, "score.checkpoint is best, expected last where split.validation is 0"),
        ({"score.fps_per_scan": (0.5, 0.25)}, "score.fps_per_scan is .*, expected rising rates"),
        ({"score.fps_per_scan": (0.0, 0.25)}, "score.fps_per_scan is .*, each of them more than 0"),
        ({"split.labelled": 0}, "split.labelled is 0, expected 1 or more, or -1 for all"),
        ({"data.phantom.scans": 0}, "phantom scans: found 0, expected 1 or more"),
        ({"data.phantom.nodules_per_scan": 1e3}, "phantom nodules_per_scan: found 1000.0, expected 1 or more, at most"),
    ],
)
def test_bounds_of_focalmix(changes, told):
    config = phantom.get_config()
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=told):
        job_of(config).settings(config)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimiser.accumulate": 0}, "optimiser.accumulate is 0, expected 1 or more"),
        ({"model.policy_features": (8,)}, "model.policy_blocks is .*, expected as many as model.policy_features"),
        ({"split.validation_share": 1.0}, "split.validation_share is 1.0, expected more than 0, below 1"),
        ({"data.background_threshold": 256.0}, "data.background_threshold is 256.0, expected 0 or more, at most 255"),
        ({"data.grid": 0}, "data.grid is 0, expected 1 or more"),
        ({"batches.held_out": 8}, "batches.held_out is 8, expected less than batches.slides, 8"),
        *(
            ({"batches.held_out": 2} | other, "batches.held_out is 2, expected 0 without L_3 or a policy, and beside")
            for other in (
                {"method.hesitant_weight": 0.0, "method.hurried_weight": 0.0},
                {"method.use_deferral": True},
            )
        ),
        ({"logging.keep_checkpoints": 0}, "logging.keep_checkpoints is 0, expected 1 or more"),
        ({"inference.top_k": 65}, "inference.top_k is 65, expected at most 64, a slide's patches"),
        ({"inference.top_k_tried": (1, 65)}, r"inference.top_k_tried is \(1, 65\), expected at most 64"),
        (
            {"method.use_deferral": True, "method.use_policy": True},
            "method.use_deferral is True, expected False beside",
        ),
    ],
)
def test_bounds_of_sos(changes, told):
    config = phantom_sos.get_config()
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=told):
        job_of(config).settings(config)


def full_config(name):
    """A config that has every section there is, those that may be left out too."""
    config = CONFIGS[name].get_config()
    if name == "focalmix":
        config.data = phantom_nlst.get_config().data
        config.split.unlabelled_extra = -1
        options = dict(labels="", labelled_list="", lungs="", frame="auto")
        config.data.options, config.data.extra.options = (ml_collections.ConfigDict(options) for _ in range(2))
    return config


SECTIONS = [
    (name, section)
    for name, kind in KINDS.items()
    for section in dict.fromkeys(field.rpartition(".")[0] for field in field_names(kind))
]


def section_of(config, section):
    return functools.reduce(getattr, filter(None, section.split(".")), config)


def test_a_config_with_all_sections_is_read():
    for name, kind in KINDS.items():
        settings_from(kind, full_config(name))


@pytest.mark.parametrize(("name", "section"), SECTIONS)
def test_a_field_too_many_is_named_with_the_nearest(name, section):
    config = full_config(name)
    given = section_of(config, section)
    nearest = next(field for field in given if field not in ("phantom", "options", "extra"))
    given[f"{nearest}s"] = 1
    prefix = f"{section}." if section else ""
    told = f"config field {prefix}{nearest}s: the config has no such field; did you mean {prefix}{nearest}?"
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        settings_from(KINDS[name], config)


@pytest.mark.parametrize(("name", "section"), SECTIONS)
def test_a_field_too_few_is_named(name, section):
    of_older_runs = {
        "sos": {"dtype", "accumulate"},
        "focalmix": {
            "accumulate",
            "candidate_share",
            "candidates",
            "marks_found_share",
            "marks_doubtful_share",
            "searches",
            *("region", "window_hu", "spacing_mm"),
        },
    }  # which have not these
    optional = {"phantom", "options", "extra"} | of_older_runs[name]
    config = full_config(name)
    given = section_of(config, section)
    for field in [field for field in given if field not in optional]:
        value = given[field]
        del given[field]
        path = f"{section}.{field}" if section else field
        with pytest.raises(InputError, match=f"^config field {re.escape(path)} is absent, expected "):
            settings_from(KINDS[name], config)
        given[field] = value


def test_a_field_in_the_wrong_section_is_named():
    config = phantom.get_config()
    config.optimiser.eta = 5
    with pytest.raises(InputError, match=r"^config field optimiser\.eta: .*; did you mean mixup\.eta\?$"):
        settings_from(FocalMixConfig, config)


@pytest.mark.parametrize(
    ("field", "fate"),
    [
        ("inference.whole_scan", "was removed, with whole-scan inference: leave it out"),
        ("ssl.judge_guesses", "is now ssl.judge_pseudo_labels"),
    ],
)
def test_a_field_of_older_configs_is_told_what_became_of_it(field, fate):
    config = phantom.get_config()
    section, name = field.split(".")
    config[section][name] = True
    with pytest.raises(InputError, match=f"^config field {re.escape(field)}: {fate}$"):
        settings_from(FocalMixConfig, config)


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("seed", 0, 2**32 - 1),  # what NumPy and JAX take
        ("split.seed", 0, 2**32 - 1),
        ("steps", 1, 2**31 - 1),  # what 32 bits count
        ("logging.log_every", 1, 2**31 - 1),
        ("logging.save_every", 1, 2**31 - 1),
        ("logging.keep_checkpoints", 1, 10**6),
        ("logging.bootstraps", 1, 10**6),
    ],
)
def test_whole_numbers_of_every_config(kind, field, least, most):
    holds = range_of(kind, field).holds
    assert [holds(value) for value in (least - 1, least, most, most + 1)] == [False, True, True, False]


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("optimiser.learning_rate", [1e-9, 100], [0, 101]),
        ("optimiser.warmup_share", [0, 1], [-0.1, 1.1]),
        ("optimiser.b1", [0, 0.999], [-0.1, 1]),
        ("optimiser.b2", [0, 0.999], [-0.1, 1]),
        ("optimiser.weight_decay", [0, 100], [-0.1, 101]),
        ("optimiser.clip_norm", [1e-9, 1e300], [0, math.inf]),
        ("optimiser.ema_decay", [0, 0.999], [-0.1, 1]),
        ("data.manual_dir", ["raw"], [""]),
        ("data.data_dir", ["made"], [""]),
    ],
)
def test_other_fields_of_every_config(kind, field, inside, outside):
    holds = range_of(kind, field).holds
    assert all(holds(value) for value in inside)
    assert not any(holds(value) for value in outside)


def range_of(kind, field):
    section, _, name = field.rpartition(".")
    kind = typing.get_type_hints(kind)[section] if section else kind
    return next(each.metadata["range"] for each in dataclasses.fields(kind) if each.name == name)


def test_a_field_that_is_absent_is_named():
    config = phantom.get_config()
    del config.patches.jitter
    with pytest.raises(InputError, match=r"config field patches\.jitter is absent, expected 0 or more"):
        job_of(config).settings(config)


def test_the_second_phantom_is_looked_at_too():
    config = phantom_nlst.get_config()
    config.data.extra.phantom.patients = 0
    with pytest.raises(InputError, match="phantom patients: found 0, expected 1 or more"):
        job_of(config).settings(config)


@pytest.mark.parametrize(("found", "reason"), [({"hearts": 2}, "hearts"), (5, "mapping"), ({"scans": "x"}, "")])
def test_a_phantom_of_other_fields_is_one_line(found, reason):
    config = phantom.get_config()
    with config.ignore_type():
        config.data.phantom = found
    expected = f"data.phantom is .*, expected fields of Luna16Phantom: .*{reason}"
    with pytest.raises(InputError, match=expected) as caught:
        job_of(config).settings(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--config.=1", "--config.: the config has no such field; see the config file for the fields there are"),
        ("--config.seed.x=1", "--config.seed.x: the config has no such field; did you mean seed?"),
        ("--config.patches.jiter=1", "--config.patches.jiter: the config has no such field; did you mean patches.jitt"),
        ("--config.patches=5", "flag --config.patches=5: "),
        ("--config.steps=1_", "flag --config.steps=1_: "),
    ],
)
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # ml_collections uses it
def test_an_argument_that_is_no_override_is_named(monkeypatch, capsys, argument, told):
    argv = ["command", "--config=configs/phantom.py", argument]
    monkeypatch.setattr("sys.argv", argv)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, flag_values=values)
    monkeypatch.setattr(command.flags, "FLAGS", values)
    with pytest.raises(SystemExit, match="2"):
        command._parse_flags(argv)
    said = capsys.readouterr().err
    assert said.startswith(f"error: {told}")
    assert said.count("\n") == 1
