"""Equal hashes mean equal bits: they see every value, dtype and shape, and do not see how hosts share the rows."""

import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.run_folder.tensor_hashes import (
    HashWriter,
    StepHashes,
    difference_of_hashes,
    join_rows,
    read_hashes,
    row_hashes,
    tensor_hashes,
)
from medssl_jax.steps.state import TrainState


def batch_of(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "labelled": {"window_hu": rng.integers(-1000, 400, (rows, 3, 4), np.int16), "scale": rng.random(rows)},
        "label": np.arange(rows),
    }


def test_a_hash_is_that_of_dtype_shape_and_bytes():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = hashlib.sha256(b"float32 (2, 3) " + values.tobytes()).hexdigest()[:16]
    assert tensor_hashes({"a": values}) == tensor_hashes({"a": jnp.asarray(values)}) == {"a": expected}


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((2, 3), np.int32),
        np.zeros((3, 2), np.float32),
        np.zeros((2, 3, 1), np.float32),
        np.array([[0, 0, 0], [0, 0, 1e-45]], np.float32),
        np.array([[0, 0, 0], [0, 0, -0.0]], np.float32),
    ],
)
def test_one_bit_or_another_kind_of_array_has_another_hash(other):
    assert tensor_hashes(np.zeros((2, 3), np.float32)) != tensor_hashes(other)


def test_how_an_array_lies_in_memory_makes_no_difference():
    values = np.arange(24.0).reshape(4, 6)
    assert tensor_hashes([values[::2, ::-1]]) == tensor_hashes([values[::2, ::-1].copy()])


def test_tensors_of_a_state_by_name():
    params = {"lateral4": {"kernel": jnp.ones((2, 3), jnp.bfloat16)}, "head": jnp.zeros(())}
    state = TrainState.create(params, optax.adamw(1e-3), keep_ema=False)
    hashes = tensor_hashes(state)
    assert {"step", "params.lateral4.kernel", "params.head", "opt_state.0.mu.head"} <= hashes.keys()
    changed = tensor_hashes(state.replace(params=params | {"head": jnp.ones(())}))
    assert {name for name in hashes if hashes[name] != changed[name]} == {"params.head"}


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_hosts_together_have_the_hashes_of_one(hosts):
    batch = batch_of(8)
    each = 8 // hosts
    shares = [jax.tree.map(lambda x, i=i: x[i * each : (i + 1) * each], batch) for i in range(hosts)]
    # What hosts tell each other goes through JSON.
    told = json.loads(json.dumps([row_hashes(share) for share in shares]))
    joined = join_rows(told)
    assert joined == join_rows([row_hashes(batch)])
    assert joined.keys() == {"labelled.window_hu", "labelled.scale", "label"}


def test_rows_in_another_order_are_another_batch():
    batch = batch_of(4)
    turned = jax.tree.map(lambda x: x[::-1], batch)
    hashes, others = (join_rows([row_hashes(each)]) for each in (batch, turned))
    assert all(hashes[name] != others[name] for name in hashes)


def test_lines_of_steps_that_were_not_saved_are_dropped(tmp_path):
    written = {step: StepHashes({"x": f"b{step}"}, {"params.w": f"s{step}"}) for step in (10, 20, 30)}
    writer = HashWriter(tmp_path, resume_step=0)
    for step, hashes in written.items():
        writer(step, hashes)
    assert read_hashes(tmp_path) == written
    whole = (tmp_path / "hashes.jsonl").read_bytes()
    with (tmp_path / "hashes.jsonl").open("a") as file:
        file.write('{"step": 40, "bat')

    resumed = HashWriter(tmp_path, resume_step=20)
    assert sorted(read_hashes(tmp_path)) == [10, 20]
    resumed(30, written[30])
    assert (tmp_path / "hashes.jsonl").read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            '{"step": 1, "bat',
            """line 1 is '{"step": 1, "bat', expected a line of a step after 0: copy the file again""",
        ),
        ('{"loss": 0.5}', "line 1 is "),
        ("[1]", "line 1 is "),
        ('{"step": 2, "batch": {}, "state": {}}\n' * 2, "line 2 is .*, expected a line of a step after 2"),
        ('{"step": 2, "loss": 0.5}', "the line of step 2 has no hashes of batch and state"),
        ('{"step": 2, "batch": {}, "state": 5}', "the line of step 2 has no hashes of batch and state"),
    ],
)
def test_what_is_no_file_of_hashes(tmp_path, content, told):
    (tmp_path / "hashes.jsonl").write_text(content + "\n" * (not content.endswith("\n")))
    with pytest.raises(InputError, match=rf"hashes\.jsonl: {told}"):
        read_hashes(tmp_path)


def test_no_file_of_hashes(tmp_path):
    with pytest.raises(InputError, match="expected the hashes that a training run writes"):
        read_hashes(tmp_path)


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        (StepHashes({"hu": "1", "boxes": "2"}, {"params.a": "3", "params.b": "4"}), None),
        (StepHashes({"hu": "1", "boxes": "0"}, {"params.a": "0", "params.b": "4"}), "batch.boxes differs"),
        (
            StepHashes({"hu": "0"}, {"params.a": "3", "params.b": "4"}),
            "batch.hu differs, one of 2 tensors of the batch that do",
        ),
        (
            StepHashes({"hu": "1", "boxes": "2"}, {"params.a": "3", "params.b": "0"}),
            "params.b differs; the batch is equal",
        ),
        (
            StepHashes({"hu": "1", "boxes": "2"}, {"params.b": "0", "params.c": "0"}),
            "params.a differs, one of 3 tensors of the state that do; the batch is equal",
        ),
    ],
)
def test_what_differs_first(now, difference):
    then = StepHashes({"hu": "1", "boxes": "2"}, {"params.a": "3", "params.b": "4"})
    assert difference_of_hashes(then, now) == difference
