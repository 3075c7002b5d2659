"""An answer is kept until its files change, and asked for anew where what was kept is damaged."""

import pytest

from data_builders.folder.remembered import remembered


@pytest.fixture
def ask(tmp_path):
    """Asks about one of two files; the answer tells how often that was asked before."""
    (tmp_path / "index").mkdir()
    for name in "ab":
        (tmp_path / name).write_text(name)
    asked = []

    def ask(name, question="mask"):
        def read():
            asked.append(name)
            return {"of": name, "lesion": [1.5, 2.25], "asked": asked.count(name)}

        return remembered(tmp_path / "index", question, [tmp_path / name], read)

    return ask


def test_it_is_kept_for_each_question_and_file(ask, tmp_path):
    for _ in range(2):
        assert [ask("a")["asked"], ask("b")["asked"], ask("a", "series")["asked"]] == [1, 1, 2]
    (tmp_path / "a").write_text("other")
    assert ask("a")["asked"] == 3
    assert ask("b")["asked"] == 1


@pytest.mark.parametrize(
    "damage", [lambda data: data.replace(b"2.25", b"2.75"), lambda data: data[:-9], lambda data: b""]
)
def test_what_is_damaged_is_asked_for_anew(ask, tmp_path, damage):
    ask("a")
    (kept,) = (tmp_path / "index").iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert ask("a") == {"of": "a", "lesion": [1.5, 2.25], "asked": 2}
    assert ask("a")["asked"] == 2


def test_the_answer_to_another_question_is_none(ask, tmp_path):
    ask("a")
    ask("b")
    one, other = (tmp_path / "index").iterdir()
    one.write_bytes(other.read_bytes())
    assert (ask("a")["of"], ask("b")["of"]) == ("a", "b")
