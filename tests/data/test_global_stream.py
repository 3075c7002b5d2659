"""A place of the stream is a function of seed and place, whoever asks; every item comes once an epoch, everywhere."""

import concurrent.futures
import itertools

import numpy as np
import pytest

from medssl_jax.data.global_stream import batch_on_host, shuffled

ITEMS = ["a", "b", "c", "d", "e"]


def test_every_item_comes_once_an_epoch_in_a_new_order():
    stream = shuffled(ITEMS, seed=3)
    epochs = [tuple(stream[place] for place in range(start, start + 5)) for start in range(0, 100, 5)]
    assert all(sorted(epoch) == ITEMS for epoch in epochs)
    assert len(set(epochs)) > 10


def test_every_order_is_as_likely():
    items = ["a", "b", "c"]
    stream = shuffled(items, seed=0)
    epochs = [tuple(stream[place] for place in range(start, start + 3)) for start in range(0, 3 * 1200, 3)]
    counts = [epochs.count(order) for order in itertools.permutations(items)]
    assert sum((count - 200) ** 2 / 200 for count in counts) < 20.5  # chi squared of 5 degrees, once in a thousand


def test_a_place_does_not_depend_on_who_asked_before():
    wanted = [shuffled(ITEMS, seed=1)[place] for place in range(300)]
    stream = shuffled(ITEMS, seed=1)
    for place in np.random.default_rng(0).permutation(300):
        assert stream[int(place)] == wanted[place]
    assert [shuffled(ITEMS, seed=2)[place] for place in range(300)] != wanted


def test_threads_that_ask_at_once_get_the_same():
    stream = shuffled(range(100), seed=4)
    wanted = [stream[place] for place in range(3000)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(shuffled(range(100), seed=4).__getitem__, range(3000))) == wanted


def test_what_is_drawn_for_a_row_depends_on_seed_and_place_alone():
    def drawn(seed):
        return shuffled(ITEMS, seed=seed).random_map(lambda item, rng: (item, int(rng.integers(1 << 30))))

    rows = [drawn(1)[place] for place in range(60)]
    assert [drawn(1)[place] for place in reversed(range(60))] == rows[::-1]
    assert len({number for _, number in rows}) == 60


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_hosts_together_read_the_same_batches(hosts):
    rows = shuffled(range(7), seed=5)
    share = 4 // hosts
    parts = [batch_on_host(rows, 4, range(host * share, (host + 1) * share)) for host in range(hosts)]
    for step in (0, 1, 5, 1000, 10**9):
        together = np.concatenate([part[step] for part in parts])
        np.testing.assert_array_equal(together, [rows[4 * step + row] for row in range(4)])


def test_a_far_place_is_found_at_once():
    assert shuffled(ITEMS, seed=0)[10**15] in ITEMS
