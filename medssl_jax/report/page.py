"""The parts of every HTML page: one file without fonts or addresses, so that it reads the same offline.

A page runs no script but its own, which its policy names by hash.
"""

import base64
import hashlib
import html
import importlib.metadata
import io
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import UInt8

from medssl_jax.report.provenance import RESEARCH_USE

with epy.lazy_imports():
    from PIL import Image

FRAME, SHARED_STYLE = (Path(__file__).with_name(name) for name in ("page_frame.html", "page_style.html"))

OPAQUE = (255, 255)  # the least and the most of an image's opacity
JPEG_QUALITY = 75
PNG_COMPRESSION = 1  # takes a quarter of the time of zlib's default, 6, for a sixth more bytes


def fill_page(template: Path, *, scripts: Sequence[Path] = (), **parts: str) -> str:
    """A page: what all pages share, round `template` (`NAME.html`) and its own style beside it (`NAME_style.html`).

    `parts`, which are HTML, take the places of their names; every page has a `title` and a `footer`. `scripts` run one
    after the other as one module, once the page is there.
    """
    script = "\n".join(["", *(each.read_text(encoding="utf-8").rstrip() for each in scripts), ""])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    filled = {
        "script": f'<script type="module">{script}</script>\n' if scripts else "",
        "policy": f"; script-src 'sha256-{digest}'" if scripts else "",
        "content": _filled(template, parts),
        "style": _filled(template.with_name(f"{template.stem}_style.html"), parts),
        "shared_style": _filled(SHARED_STYLE, {}),
    }
    return _filled(FRAME, parts | filled) + "\n"


def notices(warnings: Iterable[str]) -> str:
    """The purpose that the software is not for, then the warnings, as text."""
    lines = [f'<p class="notice">{RESEARCH_USE}</p>']
    return "\n".join([*lines, *(f'<p class="notice warning">{html.escape(warning)}</p>' for warning in warnings)])


def fact_list(facts: Mapping[str, str]) -> str:
    """Names and values, as text, in two columns."""
    return "<dl>\n" + "\n".join(f"<dt>{k}</dt><dd>{html.escape(v)}</dd>" for k, v in facts.items()) + "\n</dl>"


def section(heading: str, *parts: str) -> str:
    """Parts below a heading, all of them HTML."""
    return "\n".join(["<section>", f"<h2>{heading}</h2>", *parts, "</section>"])


def scrolled(content: str, *, name: str, kind: str = "") -> str:
    """A table, or whatever may be too wide or long for the page, in a region that scrolls by itself."""
    kinds = f"scroll {kind}".rstrip()
    return f'<div class="{kinds}" tabindex="0" role="region" aria-label="{name}">\n{content}\n</div>'


def row(name: str, *cells: object) -> str:
    """A row of a table: its name, then its cells, as HTML."""
    return f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def table(columns: Sequence[str], rows: Iterable[str]) -> str:
    """A table of `rows`, each a `<tr>`, under the names of its columns; "" names none."""
    head = "".join(f'<th scope="col">{name}</th>' if name else "<td></td>" for name in columns)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def software() -> str:
    """This software and its version."""
    return f"medssl-jax {importlib.metadata.version('medssl-jax')}"


def count(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"


def png_data_uri(picture: UInt8[np.ndarray, "height width *channels"]) -> str:
    """Grey or RGB, with opacity or without, as a PNG within a `data:` address, which has none if all is opaque."""
    image = Image.fromarray(picture)
    if image.mode.endswith("A") and image.getextrema()[-1] == OPAQUE:
        image = image.convert(image.mode[:-1])
    return _data_uri(image, "png", compress_level=PNG_COMPRESSION)


def png_file_uri(png: bytes) -> str:
    """A PNG as it lies in a file within a `data:` address."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def jpeg_data_uri(picture: UInt8[np.ndarray, "height width"], *, quality: int = JPEG_QUALITY) -> str:
    """A grey picture as a JPEG within a `data:` address: a tenth of a PNG's size."""
    return _data_uri(Image.fromarray(picture), "jpeg", quality=quality, optimize=True)


def json_element(name: str, content: Any) -> str:
    """Data for a page's script, as an element of this id that runs nothing."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _filled(template: Path, parts: Mapping[str, str]) -> str:
    return string.Template(template.read_text(encoding="utf-8").rstrip()).substitute(parts)


def _data_uri(image: "Image.Image", kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
