"""Accessibility: the rules of axe-core, and what a keyboard and a screen reader find on the pages and in the widgets.

The pages are those of a small book and, after `make book`, all of the real one; axe-core comes with its package and
needs no network. https://github.com/dequelabs/axe-core
"""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from test_book import CHAPTER, REAL, TOC, Reader, SmallBook, pages
from test_confusions import CLASSES
from test_inspector_browser import make_data, make_model
from test_ladder import steps
from test_playground import chest
from test_small_widgets import make_report
from test_windowing import explorer

import cxrlib.widgets
from cxrlib import Report, build_model
from cxrlib import shortcut as lab

WIDGETS = {
    "AugmentationPlayground": lambda make: make(chest()),
    "CamInspector": lambda make: make(make_model(), make_data(), other=make_model(1), images=[0, 1, 2], live=True),
    "ConfusionExplorer": lambda make: make(
        Report(np.arange(40) % 4, np.eye(4)[[0, 1, 2, 0] * 10], CLASSES, None, bootstrap=0)
    ),  # shares of 100 %: the strongest colors
    "FoolIt": lambda make: make(
        {"first": build_model("CPCP", ("normal", "bacterial"), size=48, seed=0)},
        lab.make_pairs(4, size=48, seed=2).plain,
    ),
    "FreezeExplorer": lambda make: make(build_model("resnet18", ("normal", "pneumonia"), size=64, seed=0), 4),
    "LadderExplorer": lambda make: make(steps()),
    "LayerBuilder": lambda make: make(size=64, examples=["CCPFDD", "CPC"]),
    "LookInside": lambda make: make(
        build_model("CPCFD", ("normal", "bacterial"), size=48, seed=0, filters=(3, 5), hidden=12),
        lab.make_pairs(4, size=48, seed=2).plain,
    ),
    "PhantomDials": lambda make: make(("viral",), find={"all": lambda x: x[:, 0] > -1}, size=64),
    "ThresholdExplorer": lambda make: make({"validation": make_report(), "test": make_report(1, 50)}),
    "TrainHere": lambda make: make(*[lab.make_pairs(n, size=32, seed=2).plain for n in (40, 10)], letters="CPF"),
    "WindowExplorer": lambda make: explorer(),
}
WIDGET = """
```{code-cell} ipython3
from cxrlib.widgets import LayerBuilder

LayerBuilder(size=64)
```
"""
UNDESCRIBED = """
```{code-cell} ipython3
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()
```
"""


# --- what is looked for


def faults(page, name: str) -> list[str]:
    """What axe-core calls serious or critical on a page: the rule, the element and the remedy."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{name}: {rule['id']} ({node['impact']}): {rule['help']}\n  {node['html'][:300]}\n  "
        + re.sub(r"\n\s*", "\n  ", node["failureSummary"])
        + f"\n  {rule['helpUrl']}"
        for rule in found
        for node in rule["nodes"]
        if node["impact"] in ("serious", "critical")
    ]


def settle(page):
    """Wait until the widgets are there in the colors of the page and nothing moves."""
    page.wait_for_function("""() => [...document.querySelectorAll(".cxr-static")].every((e) =>
        e.querySelector(`[data-theme="${matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"}"]`))""")
    page.evaluate("""() => Promise.all(document.getAnimations()
        .filter((a) => a.effect.getComputedTiming().endTime < Infinity).map((a) => a.finished.catch(() => {})))""")


def unfold(page):
    """Show what waits for a click or for the focus: folded text, the definition of a word."""
    page.evaluate("""() => {
        document.querySelectorAll("details").forEach((e) => { e.open = true; });
        document.querySelectorAll(".toggle-button-hidden").forEach((e) => e.click());
        document.querySelector("a.glossary-link")?.focus();
    }""")
    settle(page)


class _Pictures(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.alternatives = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alternatives.append(dict(attributes).get("alt") or "")


def undescribed(text: str) -> list[str]:
    """The useless alternative texts of a page's pictures: none, one word, or a file's name, which Sphinx fills in."""
    return [alt for alt in _Pictures(text).alternatives if len(alt.split()) < 2 or re.search(r"\.\w{3,4}$", alt)]


CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex='0']"
FOCUSED = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  e.dataset.reached = "";
  const shown = e.offsetWidth > 1 ? e : e.closest("label"); // a picture with a hidden radio button
  const { left, top, right, bottom } = shown.getBoundingClientRect();
  return { html: e.outerHTML.slice(0, 200), box: [left, top, right, bottom], scroll: scrollY,
    seen: e.checkVisibility({ visibilityProperty: true }) };
}"""
LEFT_OUT = """(controls) => [...document.querySelectorAll(controls)]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => !e.matches(":disabled, [tabindex='-1'], [data-reached]"))
  .filter((e) => e.type !== "radio" || !document.querySelector(`input[name="${e.name}"][data-reached]`))
  .map((e) => e.outerHTML.slice(0, 200))"""


def pixels(page, box) -> np.ndarray:
    """The screen around an element, as far as it is inside the window."""
    size, margin = page.viewport_size, 6
    x, y = max(0, box[0] - margin), max(0, box[1] - margin)
    clip = {
        "x": x,
        "y": y,
        "width": min(size["width"], box[2] + margin) - x,
        "height": min(size["height"], box[3] + margin) - y,
    }
    assert min(clip["width"], clip["height"]) > 0, "outside of the window"
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"), dtype=int)


def keyboard_faults(page, name: str) -> list[str]:
    """Press Tab through a whole page: what it does not reach, where the focus cannot be seen or jumps upward.

    The upward jump is one of a narrow page, where everything stands in one column.
    """
    page.emulate_media(reduced_motion="reduce")  # the page jumps to the focus instead of gliding
    found, above = [], -np.inf
    for _ in range(1000):
        page.keyboard.press("Tab")
        settle(page)
        at = page.evaluate(FOCUSED)
        if at is None:
            break
        focused = pixels(page, at["box"])
        page.evaluate("document.activeElement.blur()")  # the next Tab still goes on from here
        settle(page)
        plain = pixels(page, at["box"])
        if not at["seen"] or (np.abs(focused - plain).max(2) > 40).sum() < 20:
            found.append(f"{name}: the focus cannot be seen on {at['html']}")
        if page.viewport_size["width"] < 500 and at["box"][3] + at["scroll"] < above:
            found.append(f"{name}: the focus jumps up to {at['html']}")
        above = at["box"][1] + at["scroll"]
    else:
        found.append(f"{name}: Tab never comes to an end")
    return found + [f"{name}: Tab does not reach {html}" for html in page.evaluate(LEFT_OUT, CONTROLS)]


def control_names(page) -> list[tuple[str, str]]:
    """(role, name) of every control, as the browser tells a screen reader."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node["ignored"] and any(p["name"] == "focusable" for p in node.get("properties", ()))
    ]
    controls = ("button", "link", "checkbox", "radio", "slider", "spinbutton", "textbox", "searchbox", "combobox")
    return [pair for pair in named if pair[0].lower() in controls]


# --- the tests of these tests


def test_a_picture_without_a_description_is_found():
    good = '<img alt="Learning curves. after epoch 12, loss 0.126." src="a.png"><img alt="R marker" src="R.png">'
    assert undescribed(good) == []
    bad = '<img src="a.png"><img alt="" src="b.png"><img alt=" figure" src="c.png"><img alt="../_images/d 1.png">'
    assert undescribed(good + bad) == ["", "", " figure", "../_images/d 1.png"]


def test_every_widget_is_looked_at():
    assert sorted([*WIDGETS, "StaticWidget"]) == sorted(cxrlib.widgets.__all__)


@pytest.mark.slow
@pytest.mark.browser
def test_a_fault_comes_with_its_place_and_the_remedy(chromium, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text("""<!doctype html><html lang="en"><title>Bad</title><main><h1>Bad</h1>
        <p style="color: #bbb">Pale</p><input type="range">
        <div style="display: flex; flex-direction: column-reverse; gap: 1rem">
          <button>below</button><button style="outline: none">above</button></div></main></html>""")
    with Reader(chromium, 360) as reader:
        page = reader.open(path)
        pale, slider = faults(page, "bad.html")
        assert pale.startswith("bad.html: color-contrast (serious): ") and '<p style="color: #bbb">' in pale
        assert "Expected contrast ratio of 4.5:1" in pale
        assert "label (critical)" in slider and "aria-label attribute does not exist" in slider
        assert control_names(page) == [("slider", ""), ("button", "below"), ("button", "above")]
        unseen, up = keyboard_faults(page, "bad.html")
        assert "cannot be seen on <button" in unseen and "above" in unseen and "jumps up" in up and "above" in up


# --- widgets


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """saved(name): the page of a widget, made once."""
    folder = tmp_path_factory.mktemp("widgets")

    def path(name) -> Path:
        page = folder / f"{name}.html"
        return page if page.exists() else WIDGETS[name](getattr(cxrlib.widgets, name)).save_html(page)

    return path


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (900, "dark"), (360, "light"), (360, "dark")])
@pytest.mark.parametrize("name", WIDGETS)
def test_a_widget_keeps_the_rules(saved, chromium, name, width, scheme):
    with Reader(chromium, width, scheme) as reader:
        page = reader.open(saved(name))
        settle(page)
        assert not (found := faults(page, f"{name} ({scheme}, {width} px)")), "\n".join(found)
        assert not page.locator("canvas:not([aria-label], [aria-hidden=true])").count(), "no description"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", WIDGETS)
def test_a_widget_is_used_with_the_keyboard(saved, chromium, name, scheme):
    with Reader(chromium, 360, scheme) as reader:
        page = reader.open(saved(name))
        settle(page)
        assert not (found := keyboard_faults(page, name)), "\n".join(found)
        names = control_names(page)
        assert all(text for _, text in names) and len(set(names)) == len(names) > 1, names
        for slider in page.get_by_role("slider").all():
            said = {slider.get_attribute("aria-valuetext")}
            for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):  # it may stand at an end
                slider.press(key)
                said.add(slider.get_attribute("aria-valuetext"))
            assert None not in said and len(said) > 1, slider.evaluate("e => e.outerHTML")


# --- the book


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small book with a widget, and with a chapter whose picture nobody described."""
    book = SmallBook(tmp_path_factory.mktemp("book") / "root")
    book.chapter.write_text(CHAPTER + WIDGET)
    start = CHAPTER.partition("Inline")[0].replace("A small chapter", "No description")
    book.chapter.with_name("02_undescribed.md").write_text(start + UNDESCRIBED)
    first, *_ = TOC["parts"]
    chapters = [*first["chapters"], {"file": "chapters/02_undescribed"}]
    (book.root / "book" / "_toc.yml").write_text(yaml.safe_dump({**TOC, "parts": [{**first, "chapters": chapters}]}))
    code, output = book.build()
    assert code == 0, output
    return book.html


@pytest.fixture(scope="module", params=["small", *(["real"] if (REAL.parent / ".complete").exists() else [])])
def html(request):
    """The folder of a built book."""
    return request.getfixturevalue("small") if request.param == "small" else REAL


@pytest.fixture(scope="module")
def chapter(html) -> Path:
    """The chapter with the most to operate and the most tables."""
    return max(html.glob("chapters/*.html"), key=lambda path: len(re.findall("cxr-static|<table", path.read_text())))


@pytest.mark.slow
def test_every_picture_of_a_page_says_what_it_shows(html):
    for path in pages(html):
        found = undescribed(path.read_text(encoding="utf-8"))
        if path.stem == "02_undescribed":
            assert len(found) == 1
        else:
            assert not found, f"{path.name}: give these a description (Figure.alt of cxrlib.plot): {found}"


@pytest.mark.slow
def test_a_page_holds_what_a_widget_shows_only_once(chapter):
    text = chapter.read_text(encoding="utf-8")
    assert "cxr-static" in text and "widget-state+json" not in text


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_keeps_the_rules(html, chromium, scheme):
    found = []
    for path in [*pages(html), html / "search.html"]:
        with Reader(chromium, scheme=scheme) as reader:
            page = reader.open(path)
            unfold(page)
            found += faults(page, f"{path.relative_to(html)} ({scheme})")
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_chapter_keeps_the_rules_on_a_phone(chapter, chromium, scheme, waits):
    with Reader(chromium, 360, scheme, waits) as reader:
        page = reader.open(chapter)
        unfold(page)
        assert not (found := faults(page, f"{chapter.name} ({scheme}, 360 px, waits {waits})")), "\n".join(found)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_a_chapter_is_read_with_the_keyboard(chapter, chromium, width, scheme):
    with Reader(chromium, width, scheme) as reader:
        page = reader.open(chapter)
        settle(page)
        assert not (found := keyboard_faults(page, f"{chapter.name} ({scheme}, {width} px)")), "\n".join(found)
        assert not [role for role, name in control_names(page) if not name]


@pytest.mark.slow
@pytest.mark.browser
def test_the_first_link_of_a_page_skips_to_its_text(chapter, chromium):
    with Reader(chromium) as reader:
        page = reader.open(chapter)
        for key in ("Tab", "Enter", "Tab"):
            page.keyboard.press(key)
        assert page.evaluate("Boolean(document.activeElement.closest('#main-content'))")
        assert not page.evaluate("Boolean(document.activeElement.closest('nav'))")
