"""What all HTML pages share: one file without scripts, fonts or addresses, so that it reads the same offline."""

import base64
import html
import importlib.metadata
import io
import string
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medssl_jax.report.provenance import RESEARCH_USE

SHARED_STYLE = Path(__file__).with_name("page_style.html")


def fill_page(template: Path, **parts: str) -> str:
    """The page of a template: `parts`, which are HTML, in the places of their names, and the shared style."""
    page = string.Template(template.read_text(encoding="utf-8"))
    return page.substitute(parts, shared_style=SHARED_STYLE.read_text(encoding="utf-8").rstrip())


def notices(warnings: Iterable[str]) -> str:
    """What the software is not meant for, then the warnings, as text."""
    lines = [f'<p class="notice">{RESEARCH_USE}</p>']
    return "\n".join([*lines, *(f'<p class="notice warning">{html.escape(warning)}</p>' for warning in warnings)])


def fact_list(facts: Mapping[str, str]) -> str:
    """Names and values, as text, in two columns."""
    return "<dl>\n" + "\n".join(f"<dt>{k}</dt><dd>{html.escape(v)}</dd>" for k, v in facts.items()) + "\n</dl>"


def software() -> str:
    """This software and its version."""
    return f"medssl-jax {importlib.metadata.version('medssl-jax')}"


def count(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"


def png_data_uri(picture: UInt8[np.ndarray, "height width *channels"]) -> str:
    """Grey, grey with opacity, RGB or RGB with opacity, as a PNG within a `data:` address."""
    return _data_uri(picture, "png")


def jpeg_data_uri(picture: UInt8[np.ndarray, "height width"]) -> str:
    """A grey picture as a JPEG within a `data:` address: a tenth of a PNG's size."""
    return _data_uri(picture, "jpeg")


def _data_uri(picture, kind):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=kind)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
