"""An identifier is any text: what is made of it stays in its folder, is one of a kind on any disk, and can be shown."""

import os
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief, file_name, printable, some

# Surrogates too, which `st.text()` leaves out: file names that are no UTF-8 hold them.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
PATH_LIKE = st.text(st.sampled_from("./\\~aA0-_ \0\u0130\u00df"), max_size=12)
HOSTILE = (
    "",
    ".",
    "..",
    "../../../evil",
    "/etc/passwd",
    ".lock",
    "a/b",
    "a\\b",
    "C:",
    "\0",
    "a\nb",
    "9" * 300,
    "L\udcf6",
)
SAFE = (
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.100225287222365663678666836860",
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.130438550890816550994739120843.1",
    "scan_1",
    "train_0003",
    "1.2.0",
)


@given(ANY_TEXT | PATH_LIKE)
def test_it_is_one_plain_name_in_its_folder(identifier):
    name = file_name(identifier)
    path = Path("folder") / name
    assert os.path.normpath(path) == f"folder{os.sep}{name}"
    assert path.parent == Path("folder")
    assert 1 <= len(os.fsencode(name)) <= 80
    assert name.isascii()
    assert name[0] != "."
    assert name[-1] not in ". "
    assert not set(name) & set('/\\:*?"<>| \0')


@given(st.lists(ANY_TEXT | PATH_LIKE, min_size=2, max_size=20, unique=True))
@example(["Scan", "scan", "SCAN"])
@example(["a", file_name("A"), "A"])
@example(["stra\u00dfe", "strasse", "STRASSE"])
@example(["\udcf6", "\\xf6", "\u00f6"])
@example(["x" * 300, "x" * 299, "x" * 80, "x" * 81])
def test_each_has_its_own_where_upper_and_lower_case_are_one(identifiers):
    assert len({file_name(identifier).casefold() for identifier in identifiers}) == len(identifiers)


@pytest.mark.parametrize("identifier", HOSTILE)
def test_a_folder_of_that_name_can_be_made_and_is_the_only_one(tmp_path, identifier):
    (tmp_path / file_name(identifier)).mkdir()
    assert os.listdir(tmp_path) == [file_name(identifier)]
    assert file_name(identifier) != identifier


@pytest.mark.parametrize("identifier", SAFE)
def test_series_uids_keep_their_names(identifier):
    assert file_name(identifier) == identifier


def test_what_is_hashed_can_be_recognised_and_never_changes():
    """Caches and data sets on disk are found by it."""
    assert file_name("LIDC-IDRI-0003") == "LIDC-IDRI-0003~93ad6a507f90532f902d997d75c74e42"


@given(ANY_TEXT)
def test_what_is_shown_is_one_line_of_utf_8(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"))))
def test_what_can_be_shown_stays(text):
    assert printable(text) == text


def test_escapes_are_those_of_python():
    assert printable(os.fsdecode(b"L\xf6sche")) == r"L\xf6sche"
    assert printable("a\nb\x1b[31m\0\u2028") == r"a\nb\x1b[31m\x00\u2028"
    assert printable("\ud800") == r"\ud800"


@given(ANY_TEXT)
def test_an_error_message_is_one_line_whatever_it_names(name):
    told = str(InputError(f"{name}: not there"))
    assert len(told.encode("utf-8").decode().splitlines()) == 1
    assert told == f"{printable(name)}: not there"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        ([*"abcdefgh"], "a, b, c and 5 more"),
    ],
)
def test_some_of_many_names_are_told_and_how_many_there_are_beside(names, told):
    assert some(names, most=3) == told
    assert some(names, " | ", most=3) == told.replace(", ", " | ").replace(" and", " | and")
    assert some(names, "; ", most=3) == told.replace(", ", "; ").replace(" and", "; and")
    assert some(tuple("abcdef")) == "a, b, c, d, e and 1 more"


def test_a_long_value_is_told_by_its_beginning_and_its_length():
    assert brief("x" * 80) == "x" * 80
    assert brief("x" * 81) == "x" * 80 + "... (81 characters)"
    assert brief(("a\n", 5), most=4) == r"('a\... (10 characters)"
