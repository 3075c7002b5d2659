"""The voxels in a page as a browser would have them, by Pillow, and a headless browser."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

BROWSERS = ("chromium", "google-chrome")
WITHOUT_CHROMIUM = "needs Chromium and chromedriver on the path (Debian's packages chromium and chromium-driver)"


@pytest.fixture(scope="session")
def levels_of():
    """Makes the grey levels, z, y, x, of a block in a page's JSON."""

    def decode(block):
        (depth, height, width), (tile_height, tile_width) = block["size_zyx"], block["tile"]
        slices = []
        for sheet in block["sheets"]:
            with Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2]))) as image:
                pixels = np.asarray(image)
            for top in range(0, pixels.shape[0], tile_height):
                for left in range(0, pixels.shape[1], tile_width):
                    slices.append(pixels[top : top + height, left : left + width])
        return np.stack(slices[:depth])

    return decode


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; skips where there is none."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    browser, driver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip(WITHOUT_CHROMIUM)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()
