"""Items come in their order, the next one is made meanwhile, and what making one raises comes in its place."""

import threading

import pytest

from medssl_jax.core.ahead import made_ahead


def test_items_are_the_same_in_the_same_order():
    assert list(made_ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(made_ahead(iter([None, [], 0]))) == [None, [], 0]
    assert list(made_ahead(iter([]))) == []


def test_the_next_item_is_made_while_this_one_is_used_and_none_beyond():
    made = [threading.Event() for _ in range(3)]

    def items():
        for event in made:
            event.set()
            yield event

    coming = made_ahead(items())
    next(coming)
    assert made[1].wait(10)
    assert not made[2].is_set()
    coming.close()


def test_an_error_comes_where_the_item_would():
    def items():
        yield 1
        raise ValueError("the second")

    coming = made_ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="the second"):
        next(coming)
