"""The CAM inspector in Chromium: saved pages with the network blocked, a built book, and JupyterLab with a kernel."""

import functools
import http.server
import json
import re
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import yaml
from conftest import dequantize
from jupyter_lab import open_notebook, serve
from PIL import Image
from test_book import TOC, SmallBook

import cxrlib
from cxrlib import shortcut
from cxrlib.data import CxrDataset
from cxrlib.phantom import make_phantoms
from cxrlib.widgets import CamInspector

pytestmark = [pytest.mark.slow, pytest.mark.browser]
CLASSES = ("normal", "bacterial", "viral")
SILENT = "viral"  # the class of which every map is negative everywhere

# The same widget for pages made here, in a book and in JupyterLab.
SOURCE = """
import torch, cxrlib
from cxrlib.data import CxrDataset
from cxrlib.phantom import make_phantoms
from cxrlib.widgets import CamInspector
torch.set_num_threads(1)
made = make_phantoms(40, size=64, classes=("normal", "bacterial", "viral"), seed=5, progress=False, workers=1)
data = CxrDataset(made.images, made.labels, made.classes, made.patients, made.table, made.masks, made.lungs)
net = cxrlib.build_model("CPCPCPC", data.classes, size=64, filters=(6, 8, 8, 12), seed=0)
"""


def make_data() -> CxrDataset:
    made = make_phantoms(40, size=64, classes=CLASSES, seed=5, progress=False, workers=1)
    return CxrDataset(made.images, made.labels, made.classes, made.patients, made.table, made.masks, made.lungs)


def make_model(seed=0):
    net = cxrlib.build_model("CPCPCPC", CLASSES, size=64, filters=(6, 8, 8, 12), seed=seed)
    with torch.no_grad():
        net.head.output.weight[CLASSES.index(SILENT)] = -0.3  # the maps behind it are not negative
    return net


@pytest.fixture(scope="module")
def inspector():
    return CamInspector(
        make_model(), make_data(), other=make_model(1), methods=("grad-cam", "layer-cam"), names=("first", "second")
    )


@pytest.fixture(scope="module")
def browser(chromium):
    return chromium


@pytest.fixture(scope="module")
def folder(inspector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    inspector.save_html(folder / "one.html")
    other = CamInspector(make_model(2), make_data(), images=[3, 4], precompute=True)
    body = inspector.to_html() + other.to_html() + inspector.to_html()
    (folder / "three.html").write_text(f"<!doctype html><title>Three</title><body>{body}</body>")
    text = (folder / "one.html").read_text()
    layer = inspector.static_state()["page"]["models"][0]["layers"][-1]
    row = inspector.static_state()["page"]["images"][1]["id"]
    (folder / "hole.html").write_text(re.sub(rf'"0\|{row}\|{re.escape(layer)}\|grad-cam":', '"gone":', text))
    return folder


class Reader:
    """A page whose requests, other than for the address that is being read, are refused and noted as faults."""

    def __init__(self, browser, width=1000, scheme="light", allow="file:", **options):
        self.faults = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        self.context.route(re.compile(rf"^(?!{re.escape(allow)}|data:|blob:)"), self._refuse)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        self.page.on("console", lambda m: m.type == "error" and self.faults.append(f"console: {m.text}"))

    def _refuse(self, route):
        self.faults.append(f"request to {route.request.url}")
        route.abort()

    def open(self, url):
        self.page.goto(url)
        self.root = self.page.locator(".cxr-cam").first
        self.settle()
        return self

    # what the canvases show; a change is waited for, so that a control that does nothing fails
    SHOWN = "root => [...root.querySelectorAll('.stage canvas')].map(c => c.toDataURL()).join()"

    def shown(self) -> str:
        return self.root.evaluate(self.SHOWN)

    def settle(self):
        self.root.locator(".numbers .note").first.wait_for()
        self.page.wait_for_timeout(80)

    def changes(self, what, act):
        before = self.shown()
        act()
        for _ in range(100):
            self.page.wait_for_timeout(50)
            if self.shown() != before and self.root.get_attribute("data-busy") is None:
                return
        raise AssertionError(f"{what} did not change the picture")

    def choose(self, label, value):
        self.changes(f"{label} = {value}", lambda: self.root.get_by_label(label, exact=True).select_option(value))

    def slide(self, label, value):
        self.changes(f"{label} = {value}", lambda: self.root.get_by_label(label, exact=True).fill(str(value)))

    def tick(self, label):
        self.changes(label, lambda: self.root.get_by_label(label, exact=True).click())

    def radio(self, group, name):
        self.changes(
            name,
            lambda: (
                self.root.get_by_role("radiogroup", name=group)
                .get_by_role("radio", name=re.compile(rf"^{re.escape(name)}\b"))
                .check(force=True)
            ),
        )

    def numbers(self) -> dict:
        rows = self.root.locator(".numbers tbody tr").all()
        return {r.locator("th").inner_text(): r.locator("td").all_inner_texts() for r in rows}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.fixture(scope="module")
def server(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(params=["file", "http"])
def reader(request, browser, folder):
    base = folder.as_uri() + "/" if request.param == "file" else request.getfixturevalue("server")
    # over http the page itself is allowed, and nothing else
    with Reader(browser, allow="file:" if request.param == "file" else base + "one.html") as reader:
        yield reader.open(base + "one.html")


def wanted(inspector):
    """An image with lesion and marker, and a class of which its map at the last layer is not blank."""
    page = inspector.static_state()["page"]
    layer = page["models"][0]["layers"][-1]
    for image in page["images"]:
        if image["regions"]["lesion"]["png"] and image["regions"]["marker"]["png"]:
            record = page["maps"][f"0|{image['id']}|{layer}|grad-cam"]
            for k in (0, 1):
                if record["high"][k] > 0:
                    return image, CLASSES[k], record
    raise AssertionError("the fixture has no such image")


def percent(x):
    digits = 1 if 0 < x < 0.0995 or 0.9905 < x < 1 else 0
    return f"{100 * x:.{digits}f}\u00a0%"


# --- a saved page


def test_every_control_changes_the_picture(reader, inspector):
    image, name, record = wanted(inspector)
    layers = inspector.static_state()["page"]["models"][0]["layers"]
    others = [i for i in inspector.static_state()["page"]["images"] if i is not image]
    reader.radio("Image", f"Image {others[-1]['row']}")
    reader.root.get_by_role("radio", name=re.compile(f"^{name}:")).check()
    reader.radio("Image", f"Image {image['row']}")
    for layer in layers[:-1]:
        reader.choose("Layer", layer)
    reader.choose("Layer", layers[-1])
    reader.choose("Method", "layer-cam")
    reader.choose("Method", "grad-cam")
    for colors in ("cividis", "inferno", "magma", "viridis"):
        reader.choose("Color map", colors)
    reader.slide("Opacity", 80)
    reader.slide("Hide below", 60)
    reader.slide("Hide below", 0)
    reader.choose("Maximum from", "images")
    reader.choose("Maximum from", "shown")
    for label in ("Lesion", "Lungs", "Marker"):
        reader.tick(label)
        reader.tick(label)
    reader.choose("Side by side", "classes")
    assert reader.root.locator(".stage canvas").count() == 2
    second = next(
        c
        for c in CLASSES
        if c not in (name, reader.root.get_by_label("Second class").locator("option:checked").inner_text())
    )
    reader.choose("Second class", str(CLASSES.index(second)))
    reader.choose("Side by side", "models")
    heads = [head.split(";")[0] for head in reader.root.locator(".head").all_inner_texts()]
    assert heads == [f"first, map for {name}", f"second, map for {name}"]
    reader.choose("Side by side", "no")
    reader.radio("Class of the map", next(c for c in CLASSES if c != name))
    assert not reader.faults


def test_the_numbers_are_those_of_the_library(reader, inspector):
    image, name, record = wanted(inspector)
    k = CLASSES.index(name)
    reader.radio("Image", f"Image {image['row']}")
    reader.root.get_by_role("radio", name=re.compile(f"^{name}:")).check()
    reader.settle()
    numbers = reader.numbers()
    for region, label in (("lesion", "in the lesion"), ("lung", "in the lungs"), ("marker", "in the marker")):
        assert numbers[label] == [percent(record["inside"][region][k]), percent(image["regions"][region]["area"])]
    assert reader.root.locator(".bars .value").all_inner_texts() == [percent(p) for p in image["probs"][0]]
    true = reader.root.locator(".bar:has(em)").inner_text()
    assert true.startswith(CLASSES[image["label"]])
    said = reader.root.locator("[aria-live]")
    reader.page.wait_for_timeout(400)
    assert f"{percent(record['inside']['lesion'][k])} in the lesion" in said.inner_text()
    assert reader.root.locator(".stage canvas").get_attribute("aria-label") in said.inner_text()


def test_the_map_is_drawn_where_the_library_says(reader, inspector):
    """At full opacity, with inferno, the brightest spot of the canvas is the peak of the raw map."""
    image, name, record = wanted(inspector)
    reader.radio("Image", f"Image {image['row']}")
    reader.root.get_by_role("radio", name=re.compile(f"^{name}:")).check()
    reader.choose("Color map", "inferno")
    reader.slide("Opacity", 100)
    height, width = record["grid"]
    sums = reader.root.locator(".stage canvas").evaluate(
        """(canvas, [h, w]) => {
        const pen = canvas.getContext("2d"), a = canvas.width / w, b = canvas.height / h, out = [];
        for (let r = 0; r < h; r++) for (let c = 0; c < w; c++) {
            const p = pen.getImageData((c + .5) * a - 1, (r + .5) * b - 1, 2, 2).data;
            out.push(p[0] + p[1] + p[2]);
        }
        return out;
    }""",
        [height, width],
    )
    raw = dequantize(record)[CLASSES.index(name)].ravel()
    order = np.argsort(raw)[::-1]
    top = [i for i in order if raw[i] >= 0.6 * raw.max()][:4]
    painted = np.array(sums)
    assert abs(painted[top[0]] - painted[[i for i in order if raw[i] > 0.2 * raw.max()]].max()) <= 12
    assert np.all(np.diff(painted[top]) <= 12), "a higher value is painted darker"


def test_maps_side_by_side_share_one_scale_and_show_it(reader, inspector):
    image, name, record = wanted(inspector)
    reader.radio("Image", f"Image {image['row']}")
    reader.root.get_by_role("radio", name=re.compile(f"^{name}:")).check()
    reader.choose("Side by side", "classes")
    other = CLASSES.index(reader.root.get_by_label("Second class").locator("option:checked").inner_text())
    tops = [record["high"][CLASSES.index(name)], record["high"][other]]

    def ends():
        scales = reader.root.locator(".scale").all()
        # as wide as its map: a scale that has no colors is none
        assert all(s.locator("i").bounding_box()["width"] > 100 for s in scales if s.inner_text())
        assert all("gradient" in s.locator("i").evaluate("e => getComputedStyle(e).backgroundImage") for s in scales)
        return [float(s.locator("span").last.inner_text()) for s in scales]

    assert ends() == [pytest.approx(max(tops), rel=0.01)] * 2
    assert "Both maps have one scale" in reader.root.inner_text()
    reader.choose("Maximum from", "map")
    assert ends() == pytest.approx(tops, rel=0.01)
    assert "Each map has a scale of its own" in reader.root.inner_text()


def test_the_class_of_the_map_follows_the_image_unless_it_is_kept(reader, inspector):
    images = inspector.static_state()["page"]["images"]
    said = {i["row"]: CLASSES[int(np.argmax(i["probs"][0]))] for i in images}
    head = reader.root.locator(".head")
    for row in said:
        reader.root.get_by_role("radio", name=f"Image {row},").check(force=True)
        reader.settle()
        assert head.inner_text() == f"first, map for {said[row]}"
    row = next(iter(said))
    reader.root.get_by_role("radio", name=re.compile(f"^{SILENT}:")).check()
    reader.root.get_by_label("Keep this class for other images").check()
    reader.root.get_by_role("radio", name=f"Image {row},").check(force=True)
    reader.settle()
    assert head.inner_text() == f"first, map for {SILENT}" + (
        "" if said[row] == SILENT else f"; the model says {said[row]}"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0004, "< 0.1"),
        (0.004, "0.4"),
        (0.5, "50"),
        (0.9996, "> 99.9"),
        (0.995, "99.5"),
        (1, "100"),
        (None, "–"),
    ],
)
def test_percentages_stay_on_one_line_and_are_not_rounded_to_all_or_nothing(reader, value, text):
    shown = reader.page.evaluate(
        "([source, value]) => new Function(source + '; return percent')()(value)",
        [(Path(cxrlib.__file__).parent / "widgets" / "kit.js").read_text(), value],
    )
    assert shown == (text if value is None else f"{text} %").replace(" ", "\u00a0")
    for box in reader.root.locator(".bar .value span").all():
        assert box.evaluate("e => e.getClientRects().length === 1 && e.scrollWidth <= e.clientWidth + 1")


def test_thumbnails_are_sorted(reader, inspector):
    images = inspector.static_state()["page"]["images"]
    said = [int(np.argmax(i["probs"][0])) for i in images]
    wrong = {i["row"] for i, k in zip(images, said, strict=True) if k != i["label"]}
    sure = {i["row"]: max(i["probs"][0]) for i in images}
    label = {i["row"]: i["label"] for i in images}

    def order(value):
        reader.root.get_by_label("Sort images").select_option(value)
        names = reader.root.locator(".thumb span:first-of-type").all_inner_texts()
        return [int(n.removeprefix("#")) for n in names]

    assert order("class") == sorted(label, key=lambda r: label[r])
    assert [sure[r] for r in order("sure")] == sorted(sure.values(), reverse=True)
    assert [sure[r] for r in order("unsure")] == sorted(sure.values())
    flags = [r in wrong for r in order("wrong")]
    assert 0 < len(wrong) < len(images) and flags == sorted(flags, reverse=True)
    assert reader.root.locator(".thumb.wrong").count() == len(wrong)
    assert order("given") == [i["row"] for i in images]


def test_the_keyboard_reaches_everything(reader):
    page, seen = reader.page, []
    name = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.parentElement.innerText.trim()"
    page.locator("body").click(position={"x": 1, "y": 1})
    for _ in range(24):
        page.keyboard.press("Tab")
        label = page.evaluate(name)
        seen.append(label)
        if label.startswith("Image "):
            reader.changes("arrow in the images", lambda: page.keyboard.press("ArrowRight"))
            assert page.evaluate(name).startswith("Image ") and page.evaluate(name) != label
        elif ":" in label and label.split(":")[0] in CLASSES:
            reader.changes("arrow in the classes", lambda: page.keyboard.press("ArrowDown"))
        elif label == "Layer":
            reader.changes("arrow in the layers", lambda: page.keyboard.press("ArrowUp"))
        elif label in ("Opacity", "Hide below"):
            before = page.evaluate("document.activeElement.value")
            page.keyboard.press("PageUp")
            assert page.evaluate("document.activeElement.value") != before
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", "the focus cannot be seen"
        elif label == "Lungs":
            reader.changes("space on the outline", lambda: page.keyboard.press("Space"))
    for control in (
        "Sort images",
        "Layer",
        "Method",
        "Side by side",
        "Color map",
        "Maximum from",
        "Opacity",
        "Hide below",
        "Lesion",
        "Lungs",
        "Marker",
    ):
        assert control in seen, f"{control} is not reached by Tab: {seen}"


def test_everything_has_a_name_for_a_screen_reader(reader):
    for control in reader.root.locator("input, select, button, canvas[role=img], [role=radiogroup]").all():
        name = control.evaluate("e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText")
        assert (name or "").strip(), control.evaluate("e => e.outerHTML")


def test_what_was_not_saved_is_disabled_with_a_hint(reader):
    root = reader.root
    assert root.get_by_label("Method").locator("option[value=occlusion]").is_disabled()
    assert not root.get_by_label("Method").locator("option[value=layer-cam]").is_disabled()
    assert not root.locator("input[type=file]").count() and not root.get_by_role("button", name="Add").count()
    assert "Run the notebook" in root.inner_text()


def test_a_map_without_a_positive_value_says_so(reader):
    reader.root.get_by_role("radio", name=re.compile(f"^{SILENT}:")).check()
    message = reader.root.locator(".message")
    message.wait_for()
    assert message.inner_text() == "This map has no positive value: nothing speaks for this class."
    assert "nothing speaks for this class" in reader.root.locator(".stage canvas").get_attribute("aria-label")


def test_a_map_that_is_missing_says_so(browser, folder, inspector):
    with Reader(browser) as reader:
        reader.open((folder / "hole.html").as_uri())
        row = inspector.static_state()["page"]["images"][1]["id"]
        reader.root.get_by_role("radio", name=f"Image {row},").check(force=True)
        reader.root.locator(".message").wait_for()
        assert "not saved with the page" in reader.root.locator(".message").inner_text()
        assert not reader.faults


def test_several_inspectors_on_a_page_do_not_disturb_each_other(browser, folder):
    with Reader(browser) as reader:
        reader.open((folder / "three.html").as_uri())
        roots = reader.page.locator(".cxr-cam").all()
        assert len(roots) == 3
        before = [r.evaluate(Reader.SHOWN) for r in roots]
        roots[2].locator(".thumb input").nth(3).check(force=True)
        roots[2].get_by_label("Color map").select_option("magma")
        reader.page.wait_for_timeout(300)
        after = [r.evaluate(Reader.SHOWN) for r in roots]
        assert after[:2] == before[:2] and after[2] != before[2]
        assert roots[0].locator(".thumb input").nth(0).is_checked()
        assert roots[1].locator(".thumb").count() == 2
        assert not reader.faults


# --- looks

CONTRAST = """root => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if ((c[3] ?? 1) === 1) return c;
    }
    return [255, 255, 255];
  };
  const out = [];
  for (const e of root.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.closest(":disabled, .sr") || e.tagName === "OPTION") continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    out.push([(a + .05) / (b + .05), e.outerHTML.slice(0, 80)]);
  }
  return out;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_color_schemes(browser, folder, scheme):
    with Reader(browser, scheme=scheme) as reader:
        reader.open((folder / "one.html").as_uri())
        reader.choose("Side by side", "models")
        assert reader.root.get_attribute("data-theme") == scheme
        found = reader.root.evaluate(CONTRAST)
        assert len(found) > 30
        assert not [item for item in found if item[0] < 4.5]


def test_it_opens_on_two_models_where_that_is_asked(browser, tmp_path):
    widget = CamInspector(make_model(), make_data(), images=[0], other=make_model(1), compare="models", progress=False)
    widget.save_html(tmp_path / "two.html")
    with Reader(browser) as reader:
        reader.open((tmp_path / "two.html").as_uri())
        assert reader.root.locator(".stage canvas").count() == 2
        assert reader.root.get_by_label("Side by side").input_value() == "models"


def test_it_follows_a_page_that_changes_its_theme(browser, folder):
    with Reader(browser) as reader:
        reader.open((folder / "one.html").as_uri())
        assert reader.root.get_attribute("data-theme") == "light"
        reader.page.evaluate("document.body.style.color = '#eee'; document.body.style.background = '#111'")
        reader.page.wait_for_selector(".cxr-cam[data-theme=dark]")


def test_a_phone_shows_everything_without_scrolling_sideways(browser, folder):
    with Reader(browser, width=360) as reader:
        reader.open((folder / "one.html").as_uri())
        for mode in ("no", "models", "classes"):
            reader.root.get_by_label("Side by side").select_option(mode)
            reader.page.wait_for_timeout(150)
            assert reader.page.evaluate("document.documentElement.scrollWidth") <= 360
            for control in reader.root.locator("select, .controls input, .stage canvas, .numbers table").all():
                box = control.bounding_box()
                if box:
                    assert box["x"] >= 0 and box["x"] + box["width"] <= 360, control.evaluate("e => e.outerHTML")[:90]


# --- in a book


CHAPTER = (
    """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A chapter with an inspector

```{code-cell} ipython3
"""
    + SOURCE
    + """
CamInspector(net, data, images=[0, 1, 2])
```
"""
)


LIVE = (
    CHAPTER.partition("# A chapter")[0]
    + """\
# Networks in the page

```{code-cell} ipython3
import cxrlib
from cxrlib import shortcut
from cxrlib.widgets import CamInspector, FoolIt

data = shortcut.make_pairs(4, size=48, seed=2).plain
net = cxrlib.build_model("CPCP", data.classes, size=48, seed=0)
FoolIt({"one": net}, data)
```

```{code-cell} ipython3
CamInspector(net, data, live=True, progress=False)
```
"""
)


@pytest.fixture(scope="module")
def book_page(tmp_path_factory):
    book = SmallBook(tmp_path_factory.mktemp("book") / "root")
    book.chapter.write_text(CHAPTER)
    book.chapter.with_name("02_live.md").write_text(LIVE)
    first, *_ = TOC["parts"]
    parts = [{**first, "chapters": [*first["chapters"], {"file": "chapters/02_live"}]}]
    (book.root / "book" / "_toc.yml").write_text(yaml.safe_dump({**TOC, "parts": parts}))
    code, output = book.build()
    assert code == 0, output
    return book.html / "chapters" / "01_small.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("over", ["file", "http"])
def test_in_a_built_book(browser, book_page, over, scheme):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=book_page.parents[1])
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}/"
        url = book_page.as_uri() if over == "file" else base + "chapters/01_small.html"
        with Reader(browser, scheme=scheme, width=1280, allow="file:" if over == "file" else base) as reader:
            reader.open(url)
            assert reader.page.locator(".cxr-cam").count() == 1, "shown twice"
            assert reader.root.get_attribute("data-theme") == scheme
            reader.radio("Image", "Image 1")
            reader.choose("Color map", "magma")
            reader.tick("Lungs")
            assert "in the lungs" in reader.numbers()
            reader.page.set_viewport_size({"width": 360, "height": 800})
            reader.page.wait_for_timeout(200)
            assert reader.page.evaluate("document.documentElement.scrollWidth") <= 360
            assert not [f for f in reader.faults if "favicon" not in f]
        server.shutdown()


@pytest.mark.parametrize("hand", ["mouse", "finger", "keys"])
def test_networks_answer_in_a_built_book_from_the_disk(browser, book_page, hand, tmp_path):
    """TensorFlow.js lies beside the pages; the answers are PyTorch's."""
    assert 'id="cxr-tfjs"' not in book_page.with_name("02_live.html").read_text()
    width, options = (360, {"has_touch": True, "is_mobile": True}) if hand == "finger" else (1280, {})
    with Reader(browser, width, **options) as reader:
        page = reader.page
        page.add_init_script("""addEventListener("cxr-answered", ({ detail }) => (globalThis.last = detail), true);
            addEventListener("cxr-drawn", ({ detail }) => (globalThis.told = detail.told), true)""")
        page.goto(book_page.with_name("02_live.html").as_uri())
        canvas = page.locator("canvas.hand")
        canvas.scroll_into_view_if_needed()
        page.get_by_text("Nothing leaves it").wait_for()
        page.wait_for_function("globalThis.last")
        box = canvas.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = page.evaluate("Array.from(last.gray)")
        if hand == "mouse":
            page.mouse.move(*middle)
            page.mouse.down()
            page.mouse.move(middle[0] + 20, middle[1] + 20, steps=3)
            page.mouse.up()
        elif hand == "finger":
            page.touchscreen.tap(*middle)
        else:
            canvas.press("Enter")
        page.wait_for_timeout(400)
        gray, probs, shown = page.evaluate("[Array.from(last.gray), last.told[0].probs, Array.from(last.told[0].map)]")
        assert gray != before, "the marker is there"
        data = shortcut.make_pairs(4, size=48, seed=2).plain
        net = cxrlib.build_model("CPCP", data.classes, size=48, seed=0)
        gray = np.array(gray, np.float32).reshape(1, 1, 48, 48)
        np.testing.assert_allclose(probs, cxrlib.predict(net, gray)[0], atol=1e-3)
        ours = cxrlib.explain(net, gray, target=1, relu=False)[0].ravel()
        np.testing.assert_allclose(shown, ours, atol=5e-3 * np.abs(ours).max())

        Image.fromarray(data.images[1, 0]).save(tmp_path / "own.png")
        page.locator(".cxr-cam").scroll_into_view_if_needed()
        page.set_input_files(".cxr-cam input[type=file]", tmp_path / "own.png")
        page.locator(".own", has_text="Own picture 1: own.png").wait_for()
        page.wait_for_function("globalThis.told?.[0].key.includes('|u1|') && told[0].map")
        np.testing.assert_allclose(page.evaluate("told[0].probs"), cxrlib.predict(net, data.images[[1]])[0], atol=1e-3)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not reader.faults


# --- live, in JupyterLab

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                SOURCE + "net.head.output.weight.data[2] = -.3\n"
                "CamInspector(net, data, images=[0, 1, 2], precompute=False)"
            )
        ],
        metadata=PYTHON,
    )
    nbformat.write(notebook, root / "live.ipynb")
    with serve(root) as address:
        yield address, root


@pytest.fixture(scope="module")
def live(lab, browser):
    base, root = lab
    with Reader(browser, width=1300, allow=base) as reader:
        page = reader.page
        page.set_default_timeout(90_000)
        open_notebook(page, base, "live.ipynb")
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        reader.root = page.locator(".cxr-cam").first
        reader.root.locator(".thumb").first.wait_for()
        reader.settle()
        page.set_default_timeout(20_000)
        yield reader


def test_live_what_was_not_computed_is_computed_when_chosen(live):
    root = live.root
    assert live.page.locator(".cxr-cam").count() == 1
    live.radio("Image", "Image 2")
    live.choose("Method", "score-cam")
    live.choose("Method", "occlusion")
    assert root.get_by_label("Layer").is_disabled()
    live.choose("Method", "grad-cam")
    extra = root.get_by_label("Layer").locator("optgroup option").first.get_attribute("value")
    live.choose("Layer", extra)
    live.choose("Side by side", "classes")
    assert live.numbers()["in the lungs"]


def test_live_the_page_answers_while_the_kernel_computes(live):
    page, root = live.page, live.root

    def in_kernel(code):
        page.evaluate(
            """code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute(
            { code }).done""",
            code,
        )

    # Some kernels answer widgets while a cell runs, so it is the method itself that is slowed down.
    in_kernel(
        "import time, cxrlib.cam as c\nquick = c.METHODS['eigen-cam']\n"
        "c.METHODS['eigen-cam'] = lambda batch: (time.sleep(10), quick(batch))[1]"
    )
    root.get_by_label("Side by side").select_option("no")
    live.radio("Image", "Image 0")
    root.get_by_label("Method").select_option("eigen-cam")
    root.locator(".message.busy").wait_for()
    assert root.get_attribute("data-busy") is not None and "Computing" in root.locator(".message").inner_text()
    live.page.get_by_label("Lungs").first.click()
    root.get_by_label("Opacity").fill("70")
    assert root.locator(".field", has_text="Opacity").locator(".value").inner_text() == "70\u00a0%"
    assert root.get_attribute("data-busy") is not None, "the page was frozen until the kernel had ended"
    root.locator(".message.busy").wait_for(state="detached")
    page.wait_for_selector(".cxr-cam:not([data-busy])")
    assert "the same for every class" in root.locator(".numbers").inner_text()
    in_kernel("c.METHODS['eigen-cam'] = quick")  # the next tests add images while this method is chosen


def test_live_any_image_can_be_added(live):
    root = live.root
    number = root.get_by_label("Image number, 0 to 39")
    number.fill("17")
    live.changes("adding an image", lambda: number.press("Enter"))
    assert root.get_by_role("radio", name="Image 17,").is_checked()
    number.fill("99")
    root.get_by_role("button", name="Add").click()
    root.locator(".problem").wait_for()
    assert "no image 99" in root.locator(".problem").inner_text()


def test_live_an_own_picture_is_opened(live, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (1500, 2000)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "secret-name.png")  # noise: 3 MB, so it travels in two parts
    assert (tmp_path / "secret-name.png").stat().st_size > 2**21
    box = live.root.get_by_label("Open your own picture: PNG, JPEG or DICOM")
    live.changes("the own picture", lambda: box.set_input_files(tmp_path / "secret-name.png"))
    assert live.root.get_by_role("radio", name="Own picture 1 (secret-name.png), class unknown").is_checked()
    live.settle()
    assert "secret-name.png The network sees it squeezed from 2000 × 1500 pixels to a square of 64 × 64" in (
        re.sub(r"\s+", " ", live.root.locator(".own").inner_text())
    )
    assert live.root.locator(".bars .value").first.inner_text().endswith("%")


def test_live_a_bad_upload_gets_a_reason(live, tmp_path):
    box = live.root.get_by_label("Open your own picture: PNG, JPEG or DICOM")
    problem = live.root.locator(".problem")
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "b.png").write_bytes(bytes(50 * 2**20))
    for name, word in (("a.png", "text file"), ("b.png", "50 MB; at most 32 MB")):
        box.set_input_files(tmp_path / name)
        live.page.wait_for_function("([e, word]) => e.textContent.includes(word)", arg=[problem.element_handle(), word])
        assert problem.is_visible()
    assert live.root.locator(".thumb", has_text="Own").count() == 1


def test_live_a_silent_map_says_so(live):
    live.root.get_by_role("radio", name="Image 0,").check(force=True)
    live.root.get_by_label("Method").select_option("grad-cam")
    live.root.get_by_label("Layer").select_option(index=2)
    live.root.get_by_role("radio", name=re.compile("^viral:")).check()
    live.root.locator(".message", has_text="nothing speaks for this class").wait_for()


def test_live_keys_do_not_reach_the_notebook(live):
    """In command mode "b" makes a new cell; typed into the widget it must not."""
    cells = "window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = live.page.evaluate(cells)
    live.root.get_by_label("Opacity").focus()
    for key in ("b", "d", "d", "ArrowDown"):
        live.page.keyboard.press(key)
    assert live.page.evaluate(cells) == before
    assert not [f for f in live.faults if "script error" in f or "request to" in f]


def test_live_the_kernel_answers_what_a_page_with_its_network_answers(live):
    """The controls of tests/test_inspector_live.py, and the same numbers."""
    root, net, data = live.root, make_model(), make_data()
    root.locator(".thumb input").first.check(force=True)
    root.get_by_role("button", name="Reset").click()
    live.choose("Show", "both")
    layer = root.get_by_label("Layer", exact=True).input_value()
    target = int(np.argmax(cxrlib.predict(net, data.images[:1])[0]))
    ours = cxrlib.explain(net, data.images[:1], layer=layer, target=target, relu=False)[0]
    assert root.locator(".scale span").first.inner_text() == f"−{np.abs(ours).max():.3g}"
    frame = root.locator(".frame").first
    box = frame.bounding_box()
    frame.hover(position={"x": 0.4 * box["width"], "y": 0.8 * box["height"]})
    said = root.locator(".point").first.inner_text().replace("−", "-")
    place = r"Row (\d+), column (\d+) of [\d ×]+: ([-+]?[\d.e-]+), ([-+\d.]+)\s%"
    row, column, value, part = map(float, re.search(place, said).groups())
    step = float(np.ptp(ours)) / 255  # maps come from the kernel in 8 bits
    assert value == pytest.approx(ours[int(row) - 1, int(column) - 1], abs=step)
    whole = r"map ([-+]?[\d.]+), bias ([-+]?[\d.]+): the logit of \w+ is ([-+]?\d+\.\d+)"
    total, bias, logit = map(float, re.search(whole, said).groups())
    logits = net(torch.from_numpy(data.images[:1]).float() / 255)[0].detach().numpy()
    assert logit == pytest.approx(logits[target], abs=0.01 + ours.size * step / 2)
    assert total + bias == pytest.approx(logit, abs=0.011) and part == pytest.approx(100 * value / logit, abs=0.6)

    live.slide("Window width", 120)
    live.slide("Zoom", 3)
    live.choose("Side by side", "images")
    live.choose("Second image", "2")
    for k, panel in enumerate(root.locator(".bar").all()):
        shown = [float(text.strip("\xa0<>%")) for text in panel.locator(".value span").all_inner_texts()]
        np.testing.assert_allclose(shown, 100 * cxrlib.predict(net, data.images[[0, 2]])[:, k], atol=0.6)
    with live.page.expect_download() as waiting:
        root.get_by_role("button", name="Save as PNG").click()
    assert waiting.value.suggested_filename.startswith("map-image-0-")
    root.get_by_role("button", name="Reset").click()
    live.settle()
    assert root.get_by_label("Zoom").input_value() == "1"
    assert root.get_by_label("Side by side").input_value() == "no"


def test_live_the_saved_notebook_holds_the_page_but_no_own_picture(live, lab):
    live.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    path = Path(lab[1]) / "live.ipynb"
    for _ in range(60):
        outputs = [o for c in json.loads(path.read_text())["cells"] for o in c.get("outputs", [])]
        if outputs:
            break
        time.sleep(0.25)
    html = next(o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {}))
    assert "cxr-state-" in "".join(html) and '"id":"u1"' not in "".join(html)


def test_live_it_stays_dark_on_a_dark_notebook_after_a_reload(lab, browser):
    """JupyterLab shows a saved output before its theme has loaded."""
    base, root = lab
    with Reader(browser, width=1300, allow=base) as reader:
        page = reader.page
        page.set_default_timeout(90_000)
        open_notebook(page, base, "live.ipynb")
        page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
        page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".cxr-cam[data-theme=dark] .thumb")
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        for _ in range(2):
            page.reload()
            page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
            page.wait_for_selector(".cxr-cam .thumb")
            page.wait_for_selector(".cxr-cam[data-theme=dark]")
            page.wait_for_timeout(1500)
            assert page.locator(".cxr-cam").first.get_attribute("data-theme") == "dark"
        page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Light' })")
        page.wait_for_selector(".cxr-cam[data-theme=light]")


def test_a_notebook_runs_the_networks_of_fool_it(lab, browser):
    base, root = lab
    pairs = shortcut.make_pairs(4, size=48, seed=2).plain
    code = (
        "import cxrlib\nfrom cxrlib import shortcut\nfrom cxrlib.widgets import FoolIt\n"
        "data = shortcut.make_pairs(4, size=48, seed=2).plain\n"
        "FoolIt({'one': cxrlib.build_model('CPCP', data.classes, size=48, seed=0)}, data)"
    )
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=PYTHON), root / "fool.ipynb"
    )
    with Reader(browser, width=1300, allow=base) as reader:
        page = reader.page
        page.set_default_timeout(90_000)
        open_notebook(page, base, "fool.ipynb")
        page.evaluate("document.addEventListener('cxr-answered', ({ detail }) => (globalThis.last = detail), true)")
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.get_by_text("Nothing leaves it").wait_for()
        page.get_by_label("Marker R").check()
        page.wait_for_timeout(500)
        gray, probs = page.evaluate("[Array.from(last.gray), Array.from(last.told[0].probs)]")
    net = cxrlib.build_model("CPCP", pairs.classes, size=48, seed=0)
    gray = np.array(gray, np.float32).reshape(1, 1, 48, 48)
    assert (gray * 255 != pairs.images[0]).any()
    np.testing.assert_allclose(probs, cxrlib.predict(net, gray)[0], atol=1e-3)


def test_a_notebook_that_is_opened_again_shows_widgets_without_its_kernel(lab, browser):
    base, root = lab
    cells = [
        nbformat.v4.new_code_cell(code)
        for code in (
            "from cxrlib.widgets import FoolIt, LayerBuilder\nLayerBuilder(size=64)",
            "import cxrlib\nfrom cxrlib import shortcut\ndata = shortcut.make_pairs(4, size=48, seed=2).plain\n"
            "FoolIt({'one': cxrlib.build_model('CPCP', data.classes, size=48, seed=0)}, data)",
        )
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=PYTHON), root / "again.ipynb")
    with Reader(browser, width=1300, allow=base) as reader:
        page = reader.page
        page.set_default_timeout(90_000)
        open_notebook(page, base, "again.ipynb")
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.locator(".cxr-fool").scroll_into_view_if_needed()
        page.get_by_text("Nothing leaves it").wait_for()
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        page.wait_for_timeout(1500)
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        open_notebook(page, base, "again.ipynb")
        page.get_by_label("Your network").fill("CPC")
        assert "convolution" in page.locator(".cxr-layers tbody").inner_text()
        page.locator(".cxr-fool").scroll_into_view_if_needed()
        page.get_by_text("Nothing leaves it").wait_for()
        assert not page.get_by_text("model not found").count()
