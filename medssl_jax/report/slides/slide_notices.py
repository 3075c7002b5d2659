"""Notices to a reader of classes: how much of the slides was read, and which look unlike those of training.

Each notice is the beginning of a sentence: no capital, no full stop.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics, Spread
from medssl_jax.report.page import count

LOOKS_NOT_KNOWN = (
    "not known: whether these slides look as those the classifier was trained on; its run is of a version that kept no "
    "record of that"
)


class SlideReading(NamedTuple):
    """The part of a slide that was read, and its appearance.

    `share_of_area` is None where it is not known, as of a slide that a script had cut before. Of three `channels` green
    was read. The low-resolution image is of `low_rows` rows of each of its pixels, None if of all.
    """

    share_of_area: float | None
    channels: int
    appearance: Appearance
    low_rows: int | None = None


def reading_notices(readings: Mapping[str, SlideReading], training: AppearanceStatistics | None) -> list[str]:
    """Notices of the parts of slides that were not read, and of an appearance in training that is not known."""
    notices = []
    shares = [reading.share_of_area for reading in readings.values()]
    parts = sorted(share for share in shares if share is not None and share < 1)
    if parts:
        read = count(len(parts), "slide", "slides")
        notices.append(f"only the centre crop was read of {read}: {_percentages(parts)} of the area")
    if of_rows := [reading.low_rows for reading in readings.values() if reading.low_rows]:
        read = count(len(of_rows), "slide", "slides")
        notices.append(f"the low-resolution image of {read} is an approximation: of {of_rows[0]} rows a pixel")
    if None in shares:
        cut = count(shares.count(None), "slide", "slides")
        notices.append(f"not known: what share of the area was read of {cut}, which a script had cut before")
    coloured = sum(reading.channels == 3 for reading in readings.values())
    if coloured:
        notices.append(f"only green was read of the three channels of {count(coloured, 'slide', 'slides')}")
    if readings and training is None:
        notices.append(LOOKS_NOT_KNOWN)
    return notices


def unlike_training(reading: SlideReading, training: AppearanceStatistics | None) -> str | None:
    """The figures in which a slide is far from those of training; None where there are none, or it is not known."""
    far = training.far_from(reading.appearance) if training else ()
    figures = [
        f"{name} {getattr(reading.appearance, name):.3f}, there {_spread(getattr(training, name))}" for name in far
    ]
    return f"unlike the training slides, its class means little: {'; '.join(figures)}" if figures else None


def reading_as_json(reading: SlideReading, training: AppearanceStatistics | None) -> dict[str, Any]:
    """Numbers and names; `far_from_training_slides` is null where that is not known.

    `low_resolution_rows` is null where all rows count in the low-resolution image.
    """
    share = reading.share_of_area
    return {
        "share_of_area": None if share is None else round(share, 6),
        "channels": reading.channels,
        "channel_read": "green" if reading.channels == 3 else "grey",
        "low_resolution_rows": reading.low_rows,
        "brightness": round(reading.appearance.brightness, 6),
        "tissue": round(reading.appearance.tissue, 6),
        "far_from_training_slides": None if training is None else list(training.far_from(reading.appearance)),
    }


def _percentages(shares: Sequence[float]) -> str:
    least, most = (f"{100 * share:.1f} %" for share in (shares[0], shares[-1]))
    return least if least == most else f"{least} to {most}"


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.3f} with a deviation of {spread.deviation:.3f}"
