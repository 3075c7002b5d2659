"""Pictures within a page are the pictures, and text in it stays text."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from medssl_jax.report.page import fact_list, fill_page, jpeg_data_uri, notices, png_data_uri, table


def decoded(address, kind):
    head, data = address.split(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_png_holds_the_picture(channels):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, *channels)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(png_data_uri(picture), "png"), picture)


@pytest.mark.parametrize(("channels", "kept"), [(2, 0), (4, slice(0, 3))])
def test_an_opaque_png_says_nothing_of_opacity(channels, kept):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.uint8)
    picture[..., -1] = 255
    np.testing.assert_array_equal(decoded(png_data_uri(picture), "png"), picture[..., kept])


def test_jpeg_holds_it_nearly():
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, axis=0)
    np.testing.assert_allclose(decoded(jpeg_data_uri(ramp), "jpeg").astype(int), ramp, atol=6)


def test_text_is_escaped_and_research_use_comes_first():
    assert fact_list({"Input": "<b>&"}) == "<dl>\n<dt>Input</dt><dd>&lt;b&gt;&amp;</dd>\n</dl>"
    first, second = notices(["1 < 2"]).splitlines()
    assert "not a medical device" in first
    assert second == '<p class="notice warning">1 &lt; 2</p>'


def test_template_gets_its_parts_its_style_and_what_all_pages_share(tmp_path):
    template = tmp_path / "some.html"
    template.write_text("<h1>$title</h1>\n<p>$words</p>\n")
    (tmp_path / "some_style.html").write_text("<style>\np { color: $colour; }\n</style>\n")
    parts = {"title": "Prices", "words": "costs $5", "colour": "red", "footer": "the end"}
    page = fill_page(template, **parts)
    assert page.startswith("<!DOCTYPE html>\n")
    assert "<title>Prices</title>\n<style>\n:root {" in page
    assert "}\n</style>\n<style>\np { color: red; }\n</style>\n</head>" in page
    assert "<main>\n<h1>Prices</h1>\n<p>costs $5</p>\n<footer>\n<p>the end</p>" in page
    assert page.endswith("</html>\n")
    for name in parts:
        with pytest.raises(KeyError, match=name):
            fill_page(template, **{key: value for key, value in parts.items() if key != name})


def test_a_table_has_a_head_and_its_rows():
    assert table(("", "n"), ["<tr><td>a</td></tr>", "<tr><td>b</td></tr>"]) == (
        '<table>\n<thead><tr><td></td><th scope="col">n</th></tr></thead>\n'
        "<tbody>\n<tr><td>a</td></tr>\n<tr><td>b</td></tr>\n</tbody>\n</table>"
    )
