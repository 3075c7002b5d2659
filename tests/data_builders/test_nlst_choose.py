"""The stated rule, one step at a time, and the tables of kernels."""

import itertools
import random

import pytest

from data_builders.nlst.choose import choose
from data_builders.nlst.kernels import Sharpness, sharpness
from data_builders.nlst.table import SeriesRow


def row(uid, **fields):
    usual = {
        "series_uid": uid,
        "study_uid": "s",
        "patient": "p",
        "study_date": "19990102",
        "folder": uid,
        "folder_mtime_ns": 0,
        "folder_files": 100,
        "images": 100,
        "problem": "",
        "header_problem": "",
        "manufacturer": "GE MEDICAL SYSTEMS",
        "kernel": "STANDARD",
        "slice_thickness_mm": 2.5,
        "slice_distance_mm": 2.5,
        "is_axial": True,
    }
    return SeriesRow(**{**usual, **fields})


# Each is beaten by all before it: by one more step of the rule.
IN_ORDER = [
    row("z", slice_thickness_mm=1.25, images=200),
    row("y", slice_thickness_mm=1.25),
    row("a"),
    row("b"),
    row("0", kernel="MYSTERY", slice_thickness_mm=1.0),
    row("1", kernel="LUNG", slice_thickness_mm=0.6, slice_distance_mm=0.6, images=500),
    row("2", image_type="DERIVED\\SECONDARY\\AXIAL", slice_thickness_mm=0.6),
    row("3", slice_distance_mm=5.0, images=50),
    row("4", slice_distance_mm=5.0, kernel="BONE"),
]
UNUSABLE = [
    (row("5", problem="slice missing: 5 mm"), "slice missing: 5 mm"),
    (row("6", is_axial=False), "not axial: its slices do not run across the body"),
    (row("7", images=29), "few slices: 29, expected at least 30"),
]


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_the_rule(first):
    candidates = IN_ORDER[first:] + [unusable for unusable, _ in UNUSABLE]
    random.Random(first).shuffle(candidates)
    (chosen,) = [choice.row for choice in choose(candidates) if not choice.reason]
    assert chosen == IN_ORDER[first]


def test_every_series_that_is_left_out_has_its_reason():
    reasons = {choice.row.series_uid: choice.reason for choice in choose([each for each, _ in UNUSABLE] + IN_ORDER[:2])}
    assert reasons == {
        "z": "",
        "y": "another reconstruction: z stands for this study",
        **{unusable.series_uid: reason for unusable, reason in UNUSABLE},
    }


def test_one_a_study_in_the_order_of_patients_and_dates():
    rows = [
        row(f"{patient}{date}{kernel}", patient=patient, study_date=date, study_uid=patient + date, kernel=kernel)
        for patient, date, kernel in itertools.product("ba", ("20000101", "19990101"), ("LUNG", "STANDARD"))
    ]
    chosen = [choice.row.series_uid for choice in choose(rows) if not choice.reason]
    assert chosen == [f"{patient}{date}STANDARD" for patient in "ab" for date in ("19990101", "20000101")]


def test_few_slices_are_enough_where_asked_for():
    assert not choose([row("7", images=29)], least_slices=29)[0].reason


def test_a_study_without_a_usable_series_has_none():
    assert all(choice.reason for choice in choose([unusable for unusable, _ in UNUSABLE]))


@pytest.mark.parametrize(
    ("manufacturer", "soft", "unknown", "sharp"),
    [
        ("GE MEDICAL SYSTEMS", "STANDARD soft", "X", "LUNG BONE DETAIL EDGE"),
        ("SIEMENS", "B20f B30f B31s B40f Br40d", "B X30Q99", "B45f B50f B60f B80f Bl57d"),
        ("Philips", "A B C", "YA", "D E L"),
        ("Marconi Medical Systems", "C", "", "D"),
        ("TOSHIBA_MEC", "FC10", "", "FC52"),
        ("TOSHIBA", "FC01 FC10 FC18", "FC20 FC1 STANDARD", "FC30 FC50 FC53 FC82"),
        ("Canon Medical", "FC02", "", "FC51"),
        ("", "", "STANDARD B30f", ""),
        ("GENERAL SCANNERS", "", "LUNG", ""),
    ],
)
def test_kernels(manufacturer, soft, unknown, sharp):
    for names, expected in zip((soft, unknown, sharp), Sharpness, strict=True):
        for name in names.split():
            assert sharpness(manufacturer, name) == expected, name


def test_the_first_of_several_kernels_counts():
    assert sharpness("SIEMENS", "I30f\\3") == Sharpness.SOFT
    assert sharpness("SIEMENS", "") == Sharpness.UNKNOWN
