"""Pictures hang as radiologists hang them, to scale, and boxes lie on what they enclose."""

import numpy as np
import pytest

from medssl_jax.report.nodules.views import Frame, View, draw_slice, frame_round

SHAPE = (20, 30, 40)
AIR, BRIGHT = np.int16(-1200), np.int16(600)


def scan_with_block(low, high):
    hu = np.full(SHAPE, AIR)
    hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = BRIGHT
    return hu


def bright_part(picture):
    """Left, top, width, height of what is bright."""
    rows, columns = np.nonzero(picture > 128)
    return (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


@pytest.mark.parametrize(
    ("view", "corner", "where"),
    [
        # Front, right: low y, low x. Head: high z.
        (View.AXIAL, (10, 0, 0), (0, 0)),
        (View.AXIAL, (10, 29, 39), (39, 29)),
        (View.CORONAL, (19, 10, 0), (0, 0)),
        (View.CORONAL, (0, 10, 39), (39, 19)),
        (View.SAGITTAL, (19, 0, 10), (0, 0)),
        (View.SAGITTAL, (0, 29, 10), (29, 19)),
    ],
)
def test_upper_left_is_front_and_right_or_head(view, corner, where):
    low, high = np.array(corner), np.array(corner) + 1
    low[view.axis], high[view.axis] = 0, SHAPE[view.axis]
    hu = scan_with_block(low, high)
    frame = Frame(view, SHAPE)
    assert bright_part(draw_slice(hu, frame, 10)) == (*where, 1, 1)


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("pixels_per_mm", [1, 3])
def test_the_box_of_a_block_encloses_it(view, pixels_per_mm):
    low, high = np.array([5, 7, 11]), np.array([9, 17, 14])
    hu = scan_with_block(low, high)
    box = np.concatenate([(low + high - 1) / 2, high - low])  # index i is the centre of voxel i
    for frame in (Frame(view, SHAPE), frame_round(view, box[:3] + 2, 12)):
        picture = draw_slice(hu, frame, int(box[view.axis]), pixels_per_mm=pixels_per_mm)
        assert picture.shape == (frame.height_mm * pixels_per_mm, frame.width_mm * pixels_per_mm)
        np.testing.assert_allclose(bright_part(picture), np.array(frame.rectangle(box)) * pixels_per_mm, atol=1)


@pytest.mark.parametrize("view", View)
def test_a_picture_round_a_mark_has_it_in_the_middle(view):
    centre = np.array([3.3, 20.6, 38.9])
    frame = frame_round(view, centre, 12)
    rectangle = frame.rectangle(np.array([*centre, 4, 4, 4]))
    assert (frame.width_mm, frame.height_mm) == (25, 25)
    assert rectangle.left + 2 == pytest.approx(12.5, abs=0.5)
    assert rectangle.top + 2 == pytest.approx(12.5, abs=0.5)


@pytest.mark.parametrize("pixels_per_mm", [1, 2])
def test_beyond_the_scan_is_black_and_nothing_else_is(pixels_per_mm):
    frame = frame_round(View.AXIAL, np.array([10.0, 0, 39]), 5)
    picture = draw_slice(np.full(SHAPE, BRIGHT), frame, 10, pixels_per_mm=pixels_per_mm)
    assert (picture[5 * pixels_per_mm :, : 6 * pixels_per_mm] == 255).all()
    assert (picture[: 5 * pixels_per_mm] == 0).all()
    assert (picture[:, 6 * pixels_per_mm :] == 0).all()


def test_lung_window():
    hu = np.zeros(SHAPE, np.int16)
    hu[0, 0, :5] = (-1350, -1200, -600, 150, 600)
    grey = draw_slice(hu, Frame(View.AXIAL, SHAPE), 0)[0, :5]
    assert grey.tolist() == [0, 26, 128, 255, 255]
