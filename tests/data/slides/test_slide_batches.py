"""Rows depend on seed and position alone; a flip or turn is one of the whole slide; padding is masked."""

import dataclasses

import grain
import numpy as np
import pytest

from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.data.slides.slide_batches import SlideSource, batch_rows, slide_batches, turned
from medssl_jax.imaging.slides import SlideLayout

LAYOUT = SlideLayout(grid=3, patch_side=8, shrink=4)
BLACK_PATCHES = ((), (0,), (1, 5, 6), tuple(range(9)))


@dataclasses.dataclass
class HeldSlide:
    """A slide in memory."""

    pixels: np.ndarray
    layout: SlideLayout = LAYOUT
    name: str = "held"
    patches_read: int = 0

    def low_resolution(self):
        return self.pixels.reshape(6, 4, 6, 4).mean((1, 3)).astype(np.uint8)

    def patches(self, indices):
        assert sorted(indices) == list(indices)
        for index in indices:
            self.patches_read += 1
            yield self.pixels.reshape(3, 8, 3, 8)[index // 3, :, index % 3]

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


class HeldSource:
    layout = LAYOUT
    background_threshold = 1.0
    labels = (2, 0, 1, 3)

    def __init__(self):
        rng = np.random.default_rng(0)
        self.slides = []
        for black in BLACK_PATCHES:
            # Constant in boxes of 4 x 4, so that the low-resolution image is exact under every symmetry.
            pixels = rng.integers(20, 256, (6, 6), np.uint8).repeat(4, 0).repeat(4, 1)
            for index in black:
                pixels.reshape(3, 8, 3, 8)[index // 3, :, index % 3] = 0
            self.slides.append(HeldSlide(pixels))
        self.foreground_counts = tuple(9 - len(black) for black in BLACK_PATCHES)

    def slide(self, index):
        return self.slides[index]


@pytest.fixture
def source():
    return HeldSource()


def batches(source, indices=(0, 1, 2, 3), *, batch=4, patches=True, symmetries=True, seed=0):
    return slide_batches(source, indices, batch=batch, patches=patches, symmetries=symmetries, seed=seed)


def test_shapes_and_types(source):
    assert isinstance(source, SlideSource)
    batch = batches(source, batch=2)[0]
    assert {name: (array.dtype, array.shape) for name, array in batch.items()} == {
        "low_resolution": (np.uint8, (2, 6, 6)),
        "label": (np.int32, (2,)),
        "patches": (np.uint8, (2, 9, 8, 8)),
        "mask": (bool, (2, 9)),
    }


def test_without_patches_none_is_read(source):
    assert sorted(batches(source, patches=False)[0]) == ["label", "low_resolution"]
    assert [slide.patches_read for slide in source.slides] == [0, 0, 0, 0]


def test_only_foreground_is_read(source):
    batch = batches(source)[0]
    assert [slide.patches_read for slide in source.slides] == list(source.foreground_counts) == [9, 8, 6, 0]
    assert sorted(batch["mask"].sum(1)) == [0, 6, 8, 9]
    assert not batch["patches"][~batch["mask"]].any()
    assert batch["patches"][batch["mask"]].all()


@pytest.mark.parametrize("indices", [(2,), (3,), (1, 3)])
def test_the_width_is_the_largest_foreground_of_the_slides_in_use(source, indices):
    width = batches(source, indices, batch=1)[0]["mask"].shape[1]
    assert width == max(1, *(source.foreground_counts[index] for index in indices))


def test_every_slide_comes_once_a_round_with_its_label(source):
    stream = batches(source, batch=2, symmetries=False)
    for start in range(0, 8, 2):
        rows = [stream[start], stream[start + 1]]
        images = np.concatenate([row["low_resolution"] for row in rows])
        labels = np.concatenate([row["label"] for row in rows])
        assert sorted(labels) == [0, 1, 2, 3]
        for image, label in zip(images, labels, strict=True):
            np.testing.assert_array_equal(image, source.slides[source.labels.index(label)].low_resolution())


def test_patches_put_together_are_the_turned_slide(source):
    """The low-resolution image is that of the patches laid out on the turned grid, for each of the symmetries."""
    stream, seen = batches(source, (1, 2), batch=1), set()
    for position in range(60):
        batch = stream[position]
        (low,), (patches,), (mask,) = (batch[name] for name in ("low_resolution", "patches", "mask"))
        canvas = np.zeros((3, 8, 3, 8), np.uint8)
        places = np.flatnonzero(foreground_patches(low, LAYOUT, 1.0))
        for place, patch in zip(places, patches[mask], strict=True):
            canvas[place // 3, :, place % 3] = patch
        np.testing.assert_array_equal(HeldSlide(canvas.reshape(24, 24)).low_resolution(), low)
        seen.add(low.tobytes())
    assert len(seen) == 16  # both slides in all eight ways


def test_without_symmetries_slides_stay_as_they_are(source):
    stream = batches(source, (1,), batch=1, symmetries=False)
    assert len({stream[position]["patches"].tobytes() for position in range(10)}) == 1
    np.testing.assert_array_equal(stream[0]["patches"][0], list(source.slides[1].patches(range(1, 9))))


def test_the_eight_symmetries_are_those_of_the_square():
    image = np.arange(9).reshape(3, 3)
    images = [turned(image, symmetry) for symmetry in range(8)]
    assert len({each.tobytes() for each in images}) == 8
    np.testing.assert_array_equal(images[0], image)
    for first in range(8):  # closed: any two in a row are one of them
        for second in range(8):
            both = turned(turned(image, first), second)
            assert any(np.array_equal(both, each) for each in images)
    np.testing.assert_array_equal(turned(np.stack([image, image.T]), 3)[1], turned(image.T, 3))


def equal(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_batches_are_a_function_of_seed_and_position(source):
    one, two, other = batches(source), batches(source), batches(source, seed=1)
    for position in (3, 0, 17):
        assert equal(one[position], two[position])
        assert not equal(one[position], other[position])


def test_patches_do_not_change_what_else_is_drawn(source):
    with_patches, without = batches(source)[5], batches(source, patches=False)[5]
    assert equal(without, {name: with_patches[name] for name in without})


def test_rows_are_named(source):
    stream = batches(source, batch=3, seed=5)
    for position in (0, 1, 6):
        rows = batch_rows((0, 1, 2, 3), position, batch=3, seed=5)
        assert stream[position]["label"].tolist() == [source.labels[index] for index in rows]


def test_the_stream_resumes_where_it_was(source):
    few = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    first = iter(batches(source).to_iter_dataset(few))
    for _ in range(5):
        next(first)
    state, expected = first.get_state(), next(first)
    second = iter(batches(source).to_iter_dataset(few))
    second.set_state(state)
    assert equal(next(second), expected)


HELD_OUT = dict(held_out=(0, 3), held_out_rows=1)


def test_the_last_rows_are_of_the_slides_held_out_and_of_no_other(source):
    """Both streams go round by themselves: five batches of 2 + 1 rows."""
    stream = slide_batches(source, (1, 2), batch=3, patches=True, symmetries=False, seed=4, **HELD_OUT)
    for position in range(5):
        batch, rows = stream[position], batch_rows((1, 2), position, batch=3, seed=4, **HELD_OUT)
        assert sorted(rows[:2]) == [1, 2]
        assert batch["held_out"].tolist() == [False, False, True]
        assert batch["label"].tolist() == [source.labels[index] for index in rows]
        for row, index in enumerate(rows):
            np.testing.assert_array_equal(batch["low_resolution"][row], source.slides[index].low_resolution())
        assert batch["mask"].shape == (3, 9)  # of the largest slide, which is held out
    seen = [batch_rows((1, 2), position, batch=3, seed=4, **HELD_OUT)[2] for position in range(6)]
    assert [sorted(seen[start : start + 2]) for start in (0, 2, 4)] == [[0, 3]] * 3


def test_hosts_share_the_rows_held_out_too(source):
    def rows(host_rows):
        options = dict(batch=4, patches=True, symmetries=True, seed=4, held_out=(0, 3), held_out_rows=2)
        return slide_batches(source, (1, 2), host_rows=host_rows, **options)[7]

    whole, first, second = rows(range), rows(lambda _: range(0, 2)), rows(lambda _: range(2, 4))
    assert equal(whole, {name: np.concatenate([first[name], second[name]]) for name in whole})
    assert second["held_out"].all()
