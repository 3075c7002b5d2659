"""What the judge of the fuzzers takes for equal and for right; what a table counts; damage is the same for a seed."""

import dataclasses
import json
import random

import numpy as np
import pytest

from tests.fuzz.blocks import WAYS, damaged_blocks
from tests.fuzz.campaign import shares, table
from tests.fuzz.damage import BYTE_DAMAGES, damaged, other_json
from tests.fuzz.oracle import AS_IT_SAYS, SAME, Beyond, MustRefuse, Wrong, difference_between, judged
from tests.fuzz.trial import KINDS, Outcome


@dataclasses.dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (1, 2),
        (1, True),
        (1.0, "1.0"),
        (1.0, 1.001),
        (float("nan"), 0.0),
        ([1, 2], [1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}),
        (Point(1.0), Point(2.0)),
        (None, 0),
        (np.zeros(3), np.zeros(4)),
        (np.zeros(3, np.int16), np.zeros(3, np.int32)),
        (np.zeros(3), np.array([0, 0, 1e-3])),
        (np.array([0, 1], np.uint8), np.array([0, 2], np.uint8)),
    ],
)
def test_what_differs(found, wanted):
    assert difference_between(found, wanted)
    assert difference_between(wanted, found)
    assert difference_between(found, found) is None
    assert difference_between(wanted, wanted) is None


def test_floats_may_differ_in_their_last_digits():
    assert difference_between({"a": (1.0, np.ones(2))}, {"a": [1 + 1e-8, np.ones(2) + 1e-8]}) is None
    assert difference_between(1.0, 1.01, tolerance=0.1) is None


class TestJudged:
    """Of three folders: `valid` holds 1, `changed` and `damaged` 2."""

    def judged(self, expected, reading=2):
        return judged(lambda _: expected(), lambda _: 1, "damaged", "valid", reading)

    def test_what_was_written(self):
        assert self.judged(lambda: 1, reading=1) == SAME

    def test_what_the_file_says_now(self):
        assert self.judged(lambda: 2) == AS_IT_SAYS

    def test_something_else(self):
        with pytest.raises(Wrong, match="not what the file says: it is 2, expected 3"):
            self.judged(lambda: 3)

    @pytest.mark.parametrize("reading", [1, 2])
    def test_what_had_to_be_refused(self, reading):
        def expected():
            raise MustRefuse("its checksum is another")

        with pytest.raises(Wrong, match="was read, but its checksum is another"):
            self.judged(expected, reading)

    def test_where_the_oracle_cannot_tell_only_what_was_written_is_right(self):
        def expected():
            raise Beyond("of an unknown field")

        assert self.judged(expected, reading=1) == SAME
        with pytest.raises(Wrong, match="not what was written"):
            self.judged(expected)


def test_damage_is_named_by_its_seed_and_changes_something():
    data = bytes(range(256)) * 10
    changed = [damaged(data, random.Random(seed)) for seed in range(200)]
    assert changed == [damaged(data, random.Random(seed)) for seed in range(200)]
    assert sum(each != data for each, _ in changed) > 190
    assert all(any(name in told for _, told in changed) for name in BYTE_DAMAGES)
    assert all(damaged(b"", random.Random(seed)) for seed in range(50))


def test_json_is_changed_at_every_depth():
    content = {"a": [1, 2.5, "text"], "b": {"c": None, "d": True}}
    changed = [other_json(content, random.Random(seed))[0] for seed in range(300)]
    assert sum(json.dumps(each) != json.dumps(content) for each in changed) > 280
    assert content == {"a": [1, 2.5, "text"], "b": {"c": None, "d": True}}
    for altered in (
        lambda each: each["a"][1] != 2.5,
        lambda each: "d" not in each["b"],
        lambda each: each["b"] is None,
    ):
        assert any(isinstance(each, dict) and _holds(altered, each) for each in changed)


def _holds(altered, content):
    try:
        return altered(content)
    except (KeyError, TypeError, IndexError):
        return False


def test_inputs_are_shared_out_among_the_kinds():
    assert sum(map(len, shares(600).values())) == 600
    assert {len(seeds) for seeds in shares(600).values()} <= {600 // len(KINDS), 600 // len(KINDS) + 1}


def test_a_table_counts_what_became_of_each_input():
    verdicts = ("refused", "right", "refused", "wrong", "crash")
    header, csv, total, reason = table(
        Outcome("csv", seed, "a bit flipped", verdict, "because") for seed, verdict in enumerate(verdicts)
    ).splitlines()
    assert header.split() == [
        "kind",
        "inputs",
        "refused",
        "right",
        "wrong",
        "traceback",
        "message",
        "crash",
        "slow",
        "large",
    ]
    assert csv.split() == ["csv", "5", "2", "1", "1", "0", "0", "1", "0", "0"]
    assert total.split() == ["all", *csv.split()[1:]]
    assert reason == "csv, read and right: 1 because"


def test_whole_blocks_are_lost_or_misplaced():
    left = {
        "dropped": b"acde",
        "dropped to": b"ae",
        "doubled": b"abbcde",
        "exchanged with": b"adcbe",
        "overwritten by": b"adcde",
        "zeroed": b"a\0cde",
        "the first that is cut off": b"a",
    }
    blocks = [bytes([each]) for each in b"abcde"]
    assert {way: b"".join(damaged_blocks(blocks, way, 1, 3)) for way in WAYS} == left
