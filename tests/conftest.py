"""Fixtures for all tests: an own cache, the real images where they are, small data."""

import base64
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

os.environ["TQDM_DISABLE"] = "1"  # a test log is no place for progress bars

REAL = Path(os.environ.get("CXR_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data" / "chest_xray")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """No test reads or writes the user's cache. The workers share one: what one has decoded the other need not."""
    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "cache"
    old = os.environ.get("CXR_CACHE_DIR")
    os.environ["CXR_CACHE_DIR"] = str(folder)
    yield
    os.environ.pop("CXR_CACHE_DIR") if old is None else os.environ.update(CXR_CACHE_DIR=old)


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The folder of the real images; tests that need it are skipped where it is absent."""
    if not (REAL / "train").is_dir():
        pytest.skip(f"the real images are not here (looked for {REAL.name}/train; set CXR_DATA_DIR)")
    return REAL


def dequantize(record):
    """What the page makes of the maps that ``cxrlib.widgets.encode.quantize`` wrote: (K, h, w) float64."""
    low, high = (np.array(record[k], float)[:, None, None] for k in ("low", "high"))
    steps = np.frombuffer(base64.b64decode(record["steps"]), np.uint8).reshape(len(low), *record["grid"])
    return low + steps * ((high - low) / 255)


def toy(n=48, size=16, classes=("normal", "pneumonia"), seed=0, per_patient=2, noise=12):
    """Images a tiny network can learn in seconds: class k has a bright bar in a row of its own."""
    from cxrlib.data import CxrDataset

    rng = np.random.default_rng(seed)
    labels = np.arange(n) // per_patient % len(classes)
    images = rng.normal(90, noise, (n, 1, size, size))
    step = size // (len(classes) + 1)
    for i, k in enumerate(labels):
        images[i, 0, step * (k + 1) : step * (k + 1) + 2] += 70
    return CxrDataset(
        np.clip(images, 0, 255).astype(np.uint8),
        labels,
        classes,
        np.array([f"p{i // per_patient}" for i in range(n)]),
        name="toy",
    )


@pytest.fixture
def toy_data():
    return toy


@pytest.fixture(scope="session")
def sandbox() -> str:
    """The path of a working bubblewrap."""
    from coursekit.grade import SandboxMissing, find_sandbox

    try:
        return find_sandbox()
    except SandboxMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed (Debian, Ubuntu: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def show(chromium, tmp_path):
    """show(widget, width=900, scheme="light"): the widget as a saved page; no network, no error on the console."""
    contexts = []

    def open_page(widget, width=900, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.route(
            "**/*",
            lambda route: (
                route.continue_()
                if route.request.url.startswith("file:")
                else pytest.fail(f"asks for {route.request.url}")
            ),
        )
        page.on("console", lambda message: pytest.fail(message.text))
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.goto(widget.save_html(tmp_path / f"widget{len(contexts)}.html").as_uri())
        page.wait_for_selector("[data-theme]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "scrolls sideways"
        return page

    yield open_page
    for context in contexts:
        context.close()
