"""Two scored detectors and a report on three slides, small enough to draw in no time; pages read as HTML."""

import base64
import dataclasses
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.inference.selective import SlideResult
from medssl_jax.metrics.nodules.froc import score
from medssl_jax.report.slides.slide_report import ClassifierCard, SlideReport


@pytest.fixture(scope="session")
def froc_results():
    rng = np.random.default_rng(0)
    series_uids = tuple(f"scan{place}" for place in range(12))
    annotations = Findings(series_uids, np.zeros((12, 3)), np.full(12, 8.0))
    centre = np.where(np.arange(120)[:, None] % 5, 40.0, 0.0) + np.zeros((120, 3))

    def detector(skill):
        probability = rng.uniform(size=120) + skill * (centre[:, 0] == 0)
        return score(Marks(series_uids * 10, centre, probability), annotations, None, series_uids, bootstraps=50)

    return {"FocalMix": detector(0.4), "supervised": detector(0.0)}


@pytest.fixture(scope="session")
def slide_result():
    """Makes a slide of 4 x 4 patches that the LRN settles; with attention, one that the HRN did."""
    foreground = np.arange(16) < 12

    def make(name, low=(0.95, 0.03, 0.01, 0.01), high=None, attention=None, foreground=foreground):
        route = "low" if high is None else "high"
        seconds = {"low_resolution_read": 0.2, "low_network": 0.1}
        if high is not None:
            seconds |= {"patch_read": 2.0, "high_network": 4.0}
            high, attention = np.array(high, np.float32), np.array(attention, np.float32)
        low = np.array(low, np.float32)
        label = int((low if high is None else high).argmax())
        return SlideResult(
            **dict(name=name, low_probability=low, high_probability=high, route=route, label=label),
            **dict(seconds=seconds, attention=attention, foreground=foreground, feature=None),
        )

    return make


@pytest.fixture(scope="session")
def slide_report(slide_result):
    """Makes a report on three slides: settled low, sent on, and all black."""
    attention = np.zeros(16)
    attention[[6, 12]] = 0.75, 0.25
    results = (
        slide_result("settled"),
        slide_result("sent", (0.2, 0.6, 0.1, 0.1), (0.1, 0.1, 0.7, 0.1), attention),
        slide_result("black", foreground=np.zeros(16, bool)),
    )
    config = {"data": {"phantom": {}, "manual_dir": "/home/someone/LKS"}, "inference": {"rule": "confidence"}}
    report = SlideReport(
        classifier=ClassifierCard("phantom_sos", 600, config),
        classes=("Neg", "AMA", "SMA-V", "SMA-T"),
        rule="confidence",
        c=0.9,
        are_phantom_slides=False,
        results=results,
        refused={"bad.tif": "bad.tif: not a TIFF"},
    )
    return lambda **changes: dataclasses.replace(report, **changes)


class Page(HTMLParser):
    """What a page holds, its articles as `cards`; fails at tags that do not pair."""

    VOID = ("meta", "img", "input", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.ids, self.addresses, self.choices, self.cards = [], [], [], [], [], []
        self.words, self.style, self._open = [], "", []
        self.feed(text)
        self.close()
        assert self._open == []

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "article":
            self.cards.append({"classes": attributes.get("class", "").split(), "images": [], "words": []})
        if tag == "img":
            self.images.append(attributes)
            if "article" in self._open:
                self.cards[-1]["images"].append(attributes)
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "input":
            self.choices.append(attributes["id"])
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.words.append(data)
            if "article" in self._open:
                self.cards[-1]["words"] += data.split()


@pytest.fixture(scope="session")
def read_page():
    """Reads the HTML of a page; see `Page`."""
    return Page


@pytest.fixture(scope="session")
def picture():
    """Decodes the picture of an `img`, in a mode of Pillow if one is asked for."""

    def decode(image, mode=None):
        with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as opened:
            return np.asarray(opened.convert(mode))

    return decode
