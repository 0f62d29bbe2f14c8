"""The book: how it is built, and what a reader's browser shows of it with the network switched off.

The browser looks at a small book made here and, after `make book`, at every page of the real one.
"""

import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import psutil
import pytest
import yaml

from coursekit import build_book, execute_chapters
from coursekit.course import Course
from coursekit.grade import list_exercises
from coursekit.questions.classroom import read_guesses
from coursekit.questions.predictions import of_chapter

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT / "_build" / "html"
BUILD = [sys.executable, "-m", "coursekit.build_book"]

CHAPTER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A small chapter

Inline $\\sigma(x)$ and a wide formula:

$$
\\int_0^1 \\frac{1}{1+e^{-x}}\\,dx + \\sum_{i=1}^{n} w_i x_i + \\sum_{j=1}^{m} v_j y_j
+ \\sum_{k=1}^{l} u_k z_k = \\mathcal{L}
$$

:::{admonition} Answer
:class: dropdown
The word zygomorphic stands here only. `a_long_name.that_goes_on_and_on.without_any_space_in_it(argument=1)`
:::

```{code-cell} ipython3
import os, time

import pandas as pd

print("ran at", time.time_ns(), "with", os.environ.get("TQDM_DISABLE"))
pd.DataFrame([[1.0] * 12], columns=[f"column {i}" for i in range(12)])
```

:::{predict}
:choices: black | white
Which *color* has the point?
:::

```{code-cell} ipython3
from IPython.display import HTML

pixel = "R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
HTML(f'<img class="cxr-figure" alt="one white point" src="data:image/gif;base64,{pixel}">')
```

It is white.

:::{predict}
Which number comes next?
:::

```{code-cell} ipython3
:tags: [question]

print("one, two, three, and then")
```

```{code-cell} ipython3
print("the number four")
```
"""
TOC = {
    "format": "jb-book",
    "root": "book/index",
    "parts": [{"caption": "Chapters", "numbered": 1, "chapters": [{"file": "chapters/01_small"}]}],
}


def load_script(path: str):
    """A Sphinx extension of the book as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SmallBook:
    """A book of two pages with the real configuration, style and build script."""

    def __init__(self, root: Path):
        self.root, self.chapter = root, root / "chapters" / "01_small.md"
        for name in ("book/_ext", "book/_static", "coursekit"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("_config.yml", "constraints.txt"):
            shutil.copy(ROOT / name, root)
        (root / "book" / "_extra").mkdir()  # its 404.html leads to pages that are not here
        (root / "book" / "_toc.yml").write_text(yaml.safe_dump(TOC))
        (root / "book" / "index.md").write_text("# Small\n\nSee [the chapter](../chapters/01_small.md).\n")
        (root / "cxrlib" / "widgets").mkdir(parents=True)
        for file in (ROOT / "cxrlib" / "widgets").glob("tfjs.*"):  # the pages load it from _static
            shutil.copy(file, root / "cxrlib" / "widgets")
        self.library = root / "cxrlib" / "module.py"
        self.library.write_text("x = 1\n")
        self.chapter.parent.mkdir()
        self.chapter.write_text(CHAPTER)

    def build(self) -> tuple[int, str]:
        done = subprocess.run(BUILD, capture_output=True, text=True, cwd=self.root)
        return done.returncode, done.stdout + done.stderr

    @property
    def html(self) -> Path:
        return self.root / "_build" / "html"

    def page(self) -> str:
        return (self.html / "chapters" / "01_small.html").read_text()

    def ran_at(self) -> str:
        return re.search(r"ran at (\d+)", self.page())[1]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    book = SmallBook(tmp_path_factory.mktemp("book") / "root")
    code, output = book.build()
    assert code == 0, output
    assert f"The book: {book.html / 'index.html'}" in output
    return book


# --- configuration


def test_the_key_of_the_build_changes_with_the_library_and_the_settings_only(tmp_path):
    (tmp_path / "cxrlib" / "phantom").mkdir(parents=True)
    (tmp_path / "chapters").mkdir()
    module, pins = tmp_path / "cxrlib" / "phantom" / "draw.py", tmp_path / "constraints.txt"
    module.write_text("a")
    pins.write_text("torch==1")

    keys = [build_book.build_key(tmp_path, {})]
    (tmp_path / "chapters" / "01.md").write_text("prose")
    (tmp_path / "cxrlib" / "__pycache__").mkdir()
    (tmp_path / "cxrlib" / "__pycache__" / "draw.pyc").write_text("compiled")
    assert build_book.build_key(tmp_path, {"HOME": "elsewhere"}) == keys[0]

    for name in ("CXR_DATA", "CXR_DATA_DIR", "CXR_FAST"):
        keys.append(build_book.build_key(tmp_path, {name: "1"}))
    module.write_text("b")
    keys.append(build_book.build_key(tmp_path, {}))
    pins.write_text("torch==2")
    keys.append(build_book.build_key(tmp_path, {}))
    module.rename(module.with_name("paint.py"))
    keys.append(build_book.build_key(tmp_path, {}))
    assert len(set(keys)) == len(keys)


def test_pages_are_executed_once_and_one_that_fails_does_not_stop_the_others(tmp_path, capsys):
    good, bad, dead, prose = (tmp_path / f"{name}.md" for name in ("good", "bad", "dead", "prose"))
    good.write_text(CHAPTER)
    bad.write_text(CHAPTER.replace("import", "1 / 0; import", 1))
    dead.write_text(CHAPTER.replace("import", "import os; os._exit(1); import", 1))
    prose.write_text("# No code\n")

    def execute() -> str:
        execute_chapters.execute_all([good, bad, dead, prose], tmp_path / "cache", timeout=60)
        return capsys.readouterr().out

    first, second = execute(), execute()
    assert "execute: 3" in first and "dead: failed, the kernel died" in first
    assert "bad: failed" in first and re.search(r"good: \d+ s", first)
    assert "execute: 2" in second and "good" not in second
    bad.write_text(CHAPTER.replace("import", "# mended\nimport", 1))
    dead.write_text("# No code\n")
    assert re.search(r"bad: \d+ s", execute())
    good.write_text(CHAPTER + "\nMore prose.\n")
    assert execute() == ""


def test_an_interrupted_build_ends_at_once_and_leaves_no_kernel(tmp_path):
    book, kernel = SmallBook(tmp_path / "root"), tmp_path / "kernel"
    wait = f"import os, pathlib, time; pathlib.Path({str(kernel)!r}).write_text(str(os.getpid())); time.sleep(300)"
    book.chapter.write_text(CHAPTER.replace("import", f"{wait}\nimport", 1))
    with subprocess.Popen(BUILD, cwd=book.root, stdout=subprocess.DEVNULL) as build:
        wait_until(lambda: kernel.is_file() and kernel.read_text())
        build.send_signal(signal.SIGINT)
        assert build.wait(10) == -signal.SIGINT
    wait_until(lambda: not is_running(int(kernel.read_text())))


def wait_until(happened, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        time.sleep(0.1)


def is_running(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_every_chapter_and_page_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    listed = {toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])}
    listed |= {f"chapters/{name}" for name in Course.read(ROOT).chapters}  # of an instructor's own
    pages = [*(ROOT / "chapters").glob("*.md"), *(ROOT / "book").glob("*.md")]
    assert listed == {p.relative_to(ROOT).with_suffix("").as_posix() for p in pages}


def test_mathjax_is_here_with_its_licence_and_fonts():
    folder = ROOT / "book" / "_static" / "mathjax"
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert len(list((folder / "output" / "chtml" / "fonts" / "woff-v2").glob("*.woff"))) >= 20
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    assert (folder.parent / config["mathjax_path"]).is_file()


def test_the_library_page_lists_every_public_name_with_its_description():
    import cxrlib

    page = (ROOT / "book" / "library.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. (?:auto\w+|py:data):: (?:cxrlib\.)?(\w+)$", page, re.M)
    assert sorted(listed) == sorted(name for name in cxrlib.__all__ if name != "__version__")
    for name in listed:
        thing = getattr(cxrlib, name)
        assert isinstance(thing, dict) or (thing.__doc__ or "").strip(), f"cxrlib.{name} has no docstring"


# --- building (one test: each step starts from the book that the step before left)


@pytest.mark.slow
def test_what_makes_the_book_run_again_and_what_makes_it_fail(small):
    first, whole = small.ran_at(), small.page()
    assert re.search(r"ran at \d+ with 1", small.page()), "TQDM_DISABLE"
    assert list((small.html / "notebooks").glob("*.ipynb"))

    (small.html.parent / ".complete").unlink()  # as if it had been killed at the end
    assert small.build()[0] == 0
    assert small.page() == whole

    small.chapter.write_text(CHAPTER.replace("A small chapter", "Another title"))
    assert small.build()[0] == 0
    assert "Another title" in small.page()
    assert small.ran_at() == first, "an edit of prose executed the chapter again"

    small.library.write_text("x = 2\n")
    assert small.build()[0] == 0
    second = small.ran_at()
    assert second != first, "an edit of the library did not execute the chapter again"

    small.chapter.write_text(CHAPTER + '\n```{code-cell} ipython3\nraise ValueError("on purpose")\n```\n')
    for attempt in ("first", "second"):  # Sphinx forgets the warnings of pages it has read
        code, output = small.build()
        assert code != 0, f"a failing cell passed at the {attempt} attempt"
        assert "on purpose" in output

    small.chapter.write_text(CHAPTER + "\nSee [a page](nowhere.md).\n")
    code, output = small.build()
    assert code != 0
    assert "nowhere.md" in output

    small.chapter.write_text(CHAPTER)
    assert small.build()[0] == 0
    assert small.ran_at() == second, "outputs were lost by a failed build"


@pytest.mark.slow
def test_the_solutions_are_in_the_book_only_when_the_switch_says_so(tmp_path):
    book = SmallBook(tmp_path / "root")
    (book.root / "solutions").mkdir()
    names = list_exercises(ROOT)[:2]
    for name in names:
        text = (ROOT / "solutions" / f"{name}.md").read_text(encoding="utf-8")
        (book.root / "solutions" / f"{name}.md").write_text(Course.read(ROOT).spelled(text), encoding="utf-8")
    assert book.build()[0] == 0
    assert not list(book.html.rglob(f"*{names[0]}*"))
    before = book.ran_at()
    (book.root / "course.yml").write_text("solutions: show\n")
    code, output = book.build()
    assert code == 0, output[-2000:]
    assert book.ran_at() == before, "another course.yml executes no chapter again"
    assert "BEGIN SOLUTION" in (book.html / "solutions" / f"{names[0]}.html").read_text()
    assert f"{names[0]}.html" in (book.html / "book" / "index.html").read_text()
    (book.root / "course.yml").write_text("")
    assert book.build()[0] == 0
    assert not list(book.html.rglob(f"*{names[0]}*")), "pages of the course before are still there"


# --- reading


class _Page(HTMLParser):
    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.images = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        self.ids.add(attributes.get("name") if tag == "a" else None)
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)


@pytest.fixture(scope="module", params=["small", *(["real"] if (REAL.parent / ".complete").exists() else [])])
def html(request, small):
    """The folder of a built book."""
    return small.html if request.param == "small" else REAL


def pages(html: Path) -> list[Path]:
    return [*sorted(html.glob("book/*.html")), *sorted(html.glob("chapters/*.html"))]


@pytest.mark.slow
def test_every_internal_link_leads_somewhere(html):
    parsed = {path: _Page(path) for path in html.rglob("*.html") if "_static" not in path.parts}
    broken = []
    for path, page in parsed.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if re.match(r"^[a-z]+:", target):
                continue
            goal = (path.parent / unquote(target)).resolve() if target else path
            missing = anchor and goal in parsed and anchor not in parsed[goal].ids
            if not goal.exists() or missing:
                broken.append(f"{path.relative_to(html)}: {link}")
    assert not broken


@pytest.mark.slow
def test_every_image_has_alt_text(html):
    for path in pages(html):
        for image in _Page(path).images:
            assert image.get("alt", "").strip(), f"{path.name}: {image.get('src', '')[:80]}"


@pytest.mark.slow
def test_no_chapter_writes_warnings_or_progress_bars(html):
    """The book does not show what cells write to stderr; a warning there is still a fault of the chapter."""
    import nbformat

    for path in (html.parent / "jupyter_execute").rglob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", f"{path.name}: {output['text']}"
                text = output.get("text") or output.get("data", {}).get("text/plain", "")
                assert not re.search(r"\d%\|", text), f"{path.name}: {text} in {cell.source[:60]!r}"


@pytest.fixture(scope="module")
def browser(chromium):
    return chromium


class Reader:
    """A browser without network. Whatever it asked for elsewhere, or complained about, is in `faults`.

    With `waits`, results wait for a guess, as they do for a new reader.
    """

    def __init__(self, browser, width=1280, scheme="light", waits=False):
        self.faults: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.context.route(re.compile(r"^(?!file:|data:|blob:)"), self._refuse)
        self.page = self.context.new_page()
        if not waits:
            self.page.add_init_script("localStorage.setItem('predict', 'off')")
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        self.page.on("requestfailed", self._failed)

    def _refuse(self, route):
        self.faults.append(f"request to {route.request.url}")
        route.abort()

    def _failed(self, request):
        if request.failure != "net::ERR_ABORTED":  # what a page was still loading when the reader went on
            self.faults.append(f"failed: {request.url[:120]} {request.failure}")

    def _listen(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def open(self, path: Path, query=""):
        self.page.goto(path.as_uri() + query)
        self.page.wait_for_load_state("load")
        if self.page.locator(".math").count():
            self.page.wait_for_selector("mjx-container", state="attached", timeout=20_000)
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


browser_test = [pytest.mark.slow, pytest.mark.browser]


class TestInTheBrowser:
    pytestmark = browser_test

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_pages_load_without_network_and_without_complaint(self, html, browser, scheme):
        for path in pages(html):
            with Reader(browser, scheme=scheme) as reader:
                page = reader.open(path)
                assert page.evaluate("document.documentElement.dataset.theme") == scheme
                broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
                assert not broken, path.name
                assert not reader.faults, path.name

    def test_the_front_page_leads_to_the_welcome_page(self, html, browser):
        with Reader(browser) as reader:
            page = reader.open(html / "index.html")
            page.wait_for_url("**/book/index.html")
            assert page.locator("article h1").count() == 1

    def test_formulas_are_set_with_the_local_fonts(self, small, browser):
        with Reader(browser) as reader:
            page = reader.open(small.html / "chapters" / "01_small.html")
            assert page.locator("mjx-container").count() == 2
            page.evaluate("document.fonts.ready")
            loaded = page.evaluate("[...document.fonts].filter(f => f.status == 'loaded').map(f => f.family)")
            assert any(name.startswith("MJXTEX") for name in loaded), loaded
            assert "\\sigma" not in page.locator("article").inner_text()

    def test_search_finds_a_word(self, small, browser):
        with Reader(browser) as reader:
            page = reader.open(small.html / "search.html", "?q=zygomorphic")
            page.wait_for_selector("#search-results li a")
            assert "A small chapter" in page.locator("#search-results").inner_text()
            page.goto((small.html / "search.html").as_uri() + "?q=xylophagous")
            page.wait_for_selector("text=did not match any documents")
            assert not reader.faults

    def test_there_is_one_search_field(self, html, browser):
        with Reader(browser) as reader:
            page = reader.open(pages(html)[0])
            shown = [b for b in page.locator(".search-button-field, .search-button").all() if b.is_visible()]
            assert len(shown) == 1

    def test_plots_stay_on_a_light_card_in_the_dark(self, small, browser):
        with Reader(browser, scheme="dark") as reader:
            page = reader.open(small.html / "chapters" / "01_small.html")
            color = "e => getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
            assert min(page.locator(".cell_output img").first.evaluate(color)) > 220
            assert max(page.locator("body").evaluate(color)) < 60

    def test_what_follows_a_question_waits_for_the_guess(self, small, browser):
        path = small.html / "chapters" / "01_small.html"
        with Reader(browser, waits=True) as reader:
            page = reader.open(path)
            point, white = page.get_by_alt_text("one white point"), page.get_by_text("It is white.")
            four = page.get_by_text("the number four").last
            assert page.get_by_text("Which color").is_visible() and page.get_by_text("ran at").last.is_visible()
            assert page.get_by_text("one, two, three").last.is_visible(), "the question needs it"
            assert not any(e.is_visible() for e in (point, white, four))
            page.get_by_role("button", name="black").click()
            assert point.is_visible() and white.is_visible() and not four.is_visible()
            assert page.get_by_text("Your guess: black").is_visible()
            page.get_by_label("Your guess").fill("<b>4</b>")
            page.keyboard.press("Enter")
            assert four.is_visible() and page.get_by_text("Your guess: <b>4</b>").is_visible()
            reader.open(path)
            assert point.is_visible() and page.get_by_text("Your guess: black").is_visible(), "it is kept"
            page.get_by_role("button", name="Guess again").first.click()
            assert not point.is_visible() and four.is_visible()
            page.get_by_role("button", name="Show the result").click()
            assert point.is_visible() and page.get_by_text("Your guess:").count() == 1 + 1  # one of them hidden
            assert not page.get_by_text("Your guess: black").is_visible()
            reader.open(path)
            assert not point.is_visible(), "nothing was guessed"
            assert not reader.faults

    def test_guesses_can_be_saved_as_a_file(self, small, browser, tmp_path):
        asked = of_chapter(small.chapter)
        with Reader(browser, waits=True) as reader:
            page = reader.open(small.html / "chapters" / "01_small.html")
            save = page.get_by_role("button", name="Save my guesses")
            assert save.is_disabled(), "there is none yet"
            page.get_by_role("button", name="white").click()
            page.get_by_label("Your guess").fill('<b>"4"</b>')
            page.keyboard.press("Enter")
            for _ in range(2):  # also after a reload
                with page.expect_download() as started:
                    save.click()
                started.value.save_as(tmp_path / "a.json")
                assert started.value.suggested_filename == "guesses-01_small.json"
                chapter, guesses = read_guesses(tmp_path / "a.json")
                assert (chapter, guesses) == ("01_small", {asked[0].id: "white", asked[1].id: '<b>"4"</b>'})
                assert '"Which color has the point?"' in (tmp_path / "a.json").read_text()
                reader.open(small.html / "chapters" / "01_small.html")
            page.get_by_role("button", name="Guess again").first.click()
            page.get_by_role("button", name="Guess again").click()
            assert save.is_disabled()
            assert not reader.faults

    def test_the_switch_turns_the_waiting_off_on_every_page(self, small, browser):
        path = small.html / "chapters" / "01_small.html"
        with Reader(browser, waits=True) as reader:
            page = reader.open(path)
            point, switch = page.get_by_alt_text("one white point"), page.get_by_label("Results wait for my guess")
            switch.uncheck()
            assert point.is_visible() and not page.get_by_role("button", name="black").is_visible()
            reader.open(path)
            assert point.is_visible() and not switch.is_checked()
            switch.check()
            assert not point.is_visible()
            page.emulate_media(media="print")
            assert point.is_visible() and not switch.is_visible(), "paper does not wait"
            assert not reader.faults

    def test_without_scripts_nothing_waits(self, small, browser):
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto((small.html / "chapters" / "01_small.html").as_uri())
        assert page.get_by_alt_text("one white point").is_visible()
        assert page.locator(".predict-choices li").all_inner_texts() == ["black", "white"]
        context.close()

    def test_a_phone_never_scrolls_sideways(self, html, browser):
        for path in pages(html):
            with Reader(browser, width=320) as reader:
                page = reader.open(path)
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                width = page.evaluate("document.documentElement.scrollWidth")
                assert width <= 320, f"{path.name} is {width} px wide"

    def test_a_figure_is_enlarged_on_a_phone(self, html, browser):
        path = sorted((html / "chapters").glob("*.html"))[0]
        with Reader(browser, width=360) as reader:
            page = reader.open(path)
            button = page.locator(".enlarge >> visible=true").first
            shown = button.locator("xpath=preceding-sibling::img")
            assert shown.bounding_box()["width"] < 360
            button.click()
            large = page.locator("dialog.enlarged img")
            assert large.bounding_box()["width"] >= 900 and large.get_attribute("alt") == shown.get_attribute("alt")
            page.keyboard.press("Escape")
            assert not large.is_visible() and button.evaluate("button => button === document.activeElement")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
        with Reader(browser) as reader:  # where the figure is large enough there is no button
            assert not reader.open(path).locator(".enlarge >> visible=true").count()

    def test_a_chapter_offers_colab_and_the_notebook(self, html, browser):
        for path in sorted((html / "chapters").glob("*.html")):
            with Reader(browser) as reader:
                page = reader.open(path)
                colab = page.locator("a.btn-colab-button").get_attribute("href")
                assert colab.startswith("https://colab.research.google.com/github/")
                assert colab.endswith(f"/notebooks/{path.stem}.ipynb")
                link = page.locator("a.btn-download-notebook-button").get_attribute("href")
                assert (path.parent / link).resolve() == (html / "notebooks" / f"{path.stem}.ipynb").resolve()
