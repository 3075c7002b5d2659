"""Pictures within a page are the pictures, and text in it stays text."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from medssl_jax.report.page import fact_list, fill_page, jpeg_data_uri, notices, png_data_uri


def decoded(address, kind):
    head, data = address.split(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_png_holds_the_picture(channels):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, *channels)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(png_data_uri(picture), "png"), picture)


def test_jpeg_holds_it_nearly():
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, axis=0)
    np.testing.assert_allclose(decoded(jpeg_data_uri(ramp), "jpeg").astype(int), ramp, atol=6)


def test_text_is_escaped_and_research_use_comes_first():
    assert fact_list({"Input": "<b>&"}) == "<dl>\n<dt>Input</dt><dd>&lt;b&gt;&amp;</dd>\n</dl>"
    first, second = notices(["1 < 2"]).splitlines()
    assert "not a medical device" in first
    assert second == '<p class="notice warning">1 &lt; 2</p>'


def test_template_gets_its_parts_and_the_shared_style(tmp_path):
    template = tmp_path / "page.html"
    template.write_text("$shared_style<p>$words</p>")
    page = fill_page(template, words="costs $5")
    assert page.startswith("<style>\n:root {")
    assert page.endswith("}\n</style><p>costs $5</p>")
    with pytest.raises(KeyError):
        fill_page(template)
