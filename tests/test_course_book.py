"""What the book adds to its pages: glossary words, reading time, previews of shared links."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from PIL import Image
from test_book import TOC, Reader, SmallBook, load_script

from coursekit.build_book import chapters
from coursekit.course import NUMBERED, Course

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = {path.name: path.read_text(encoding="utf-8") for path in chapters()}
DEFINITION = "A white area, where 1 < 2 & more."
GLOSSARY = f"""\
# Words

```{{glossary}}
opacity
haze
  {DEFINITION}

  A second paragraph.
```
"""


def entries() -> list[tuple[list[str], str, str]]:
    """The glossary's entries: their words, the text, the chapter's file."""
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    body = re.search(r"^```\{glossary\}\n(.*?)\n```$", text, re.M | re.S)[1]
    found = []
    for words, rest in re.findall(r"((?:^\S.*\n)+)((?:^(?: .*)?\n?)+)", body, re.M):
        link = re.search(r"\{Chapter\}`(\w+)`\s*$", rest)
        assert link, words
        found.append((words.splitlines(), rest[: link.start()].strip(), f"{link[1]}.md"))
    return found


def test_every_word_of_the_glossary_is_explained_once_and_stands_in_its_chapter():
    words = [word for names, _, _ in entries() for word in names]
    assert words and len(words) == len({word.lower() for word in words})
    for names, text, chapter in entries():
        assert text.endswith((".", "?")), names
        prose = re.sub(r"[*_`\s]+", " ", (ROOT / "chapters" / chapter).read_text(encoding="utf-8")).lower()
        assert any(part in prose for name in names for part in (name.lower(), *name.lower().split(" and "))), names


def test_the_chapters_link_words_that_the_glossary_has():
    known = {word.lower() for names, _, _ in entries() for word in names}
    used = {
        (re.search(r"<(.+)>$", role) or [None, role])[1].lower()
        for text in CHAPTERS.values()
        for role in re.findall(r"\{term\}`([^`]+)`", text)
    }
    assert used <= known


@pytest.mark.parametrize("folder", ["book", "chapters", "solutions"])
def test_pages_use_the_words_of_the_field(folder):
    wrong = re.compile(r"back-bones?\b|\bshort cuts?\b|\bbase rates?\b|\bshares? of\b", re.I)
    made = {"performance.md", "results.md", "scaling.md"}  # from records
    for path in (ROOT / folder).glob("*.md"):
        if path.name not in made:
            assert not wrong.findall(path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize("page", ["index", "instructors"])
def test_the_lists_of_chapters_have_all_of_the_full_course(page):
    text = (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")
    lists = re.findall(r"^:::\{chapters\}\n(.*?)^:::$", text, re.M | re.S)
    full = [name for name in Course.read().full if NUMBERED.fullmatch(name)]
    assert lists and all(
        re.findall(r"^(?:\||-) \[[^\]]+\]\(\.\./chapters/(\w+)\.md\)", one, re.M) == full for one in lists
    )


@pytest.mark.parametrize("folder", ["book", "chapters", "solutions"])
def test_chapters_are_called_by_name(folder):
    """In a course with other chapters, or in another order, a number in the text would be wrong."""
    number = re.compile(
        r"\bchapters?\s+\[?\d|\b(?:next|previous|last|first|second|third)\s+(?:chapter|exercise)\b", re.I
    )
    for path in (ROOT / folder).glob("*.md"):
        text = re.sub(
            r"^(`{3,}).*?^\1$|\"Chapter 3\"|After the last chapter",
            "",
            path.read_text(encoding="utf-8"),
            flags=re.M | re.S,
        )
        assert not number.findall(text), path.name
        for name in re.findall(r"\{[Cc]hapter\}`([^`#]+)", text):
            assert (ROOT / "chapters" / f"{name}.md").is_file(), (path.name, name)


def test_no_plan_teaches_a_chapter_before_what_it_needs():
    """Other chapters may be needed by a plan's chapter only where they are named in the same row."""
    text = (ROOT / "book" / "plans.md").read_text(encoding="utf-8")
    table = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| \[[^\]]+\]\(\.\./chapters/(\w+)\.md\) \| ((?:\{[Cc]hapter\}[^|]*)?) \| [^|]*\|$", table, re.M
    )
    needs = {int(name[:2]): set(map(int, re.findall(r"`(\d+)_", first))) for name, first in rows}
    assert len(needs) == 11
    plans = re.split(r"^### ", text.split("## A syllabus")[0], flags=re.M)[1:]
    assert len(plans) == 4
    for plan in plans:
        seen = set()
        for row in re.findall(r"^\| .*", plan, re.M):
            seen |= {int(n) for n in re.findall(r"chapters/(\d+)_", row)}
            for chapter in re.findall(r"chapters/(\d+)_", row):
                missing = {n for n in needs[int(chapter)] - seen if not plan.startswith(("One day", "Five weeks"))}
                assert not missing, f"{plan.splitlines()[0]}: {chapter} needs {missing}"


def test_the_card_has_the_size_that_the_pages_announce():
    card = ROOT / "book" / "_static" / "card.png"
    assert Image.open(card).size == (1200, 630)
    assert card.stat().st_size < 150_000


def test_reading_takes_longer_for_more_words_and_for_more_code():
    from docutils import nodes

    minutes = load_script("book/_ext/course_book.py").reading_minutes

    def page(words, lines):
        cell = nodes.container("", nodes.literal_block(text="x = 1\n" * lines), classes=["cell_input"])
        output = nodes.container("", nodes.literal_block(text="1\n" * 1000), classes=["cell_output"])
        return nodes.section("", nodes.paragraph(text="word " * words), cell, output)

    assert minutes(page(10, 1)) == 5
    assert minutes(page(3000, 1)) == 20
    assert minutes(page(3000, 240)) == 40


class _Tags(HTMLParser):
    """The meta tags and the glossary links of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.meta, self.links = {}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "meta":
            self.meta[attributes.get("property") or attributes.get("name")] = attributes.get("content")
        if tag == "a" and "glossary-link" in (attributes.get("class") or ""):
            self.links.append((attributes["href"], attributes["title"]))


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A built book of three pages with two words that lead to its glossary."""
    book = SmallBook(tmp_path_factory.mktemp("words") / "root")
    (book.root / "book" / "glossary.md").write_text(GLOSSARY)
    contents = {**TOC, "parts": [*TOC["parts"], {"caption": "Reference", "chapters": [{"file": "book/glossary"}]}]}
    (book.root / "book" / "_toc.yml").write_text(yaml.safe_dump(contents))
    first = "An *{term}`Opacity`* is no 1 < 2 but a {term}`kind of haze <haze>`, a kind-of-haze."
    book.chapter.write_text(book.chapter.read_text().replace("Inline", f"{first}\n\nInline", 1))
    settings = (book.root / "_config.yml").read_text()
    address = "  url: https://github.com/Someone/x-rays"
    (book.root / "_config.yml").write_text(re.sub(r"^  url: https://github.com/.*$", address, settings, flags=re.M))
    code, output = book.build()
    assert code == 0, output
    return book


@pytest.mark.slow
def test_a_word_carries_its_definition_and_follows_it(book):
    links = _Tags(book.html / "chapters" / "01_small.html").links
    assert links == [(f"../book/glossary.html#term-{word}", DEFINITION) for word in ("opacity", "haze")]
    (book.root / "book" / "glossary.md").write_text(GLOSSARY.replace("A white area", "A gray area"))
    assert book.build()[0] == 0
    titles = {title for _, title in _Tags(book.html / "chapters" / "01_small.html").links}
    assert titles == {DEFINITION.replace("white", "gray")}, "the chapter was not written again"
    (book.root / "book" / "glossary.md").write_text(GLOSSARY)
    assert book.build()[0] == 0


@pytest.mark.slow
def test_a_chapter_says_how_long_it_takes_and_other_pages_do_not(book):
    line = re.search(r'<p class="reading-time">(.*?)</p>', book.page())[1]
    assert line == "About 5 minutes to read. Its code took less than a minute to run for this book."
    assert "reading-time" not in (book.html / "book" / "glossary.html").read_text()


@pytest.mark.slow
def test_a_shared_link_gets_a_preview_from_the_address_of_the_book(book):
    meta = _Tags(book.html / "chapters" / "01_small.html").meta
    assert meta["og:title"] == "A small chapter"
    assert meta["og:description"] == meta["description"] == "An Opacity is no 1 < 2 but a kind of haze, a kind-of-haze."
    assert meta["og:url"] == "https://someone.github.io/x-rays/chapters/01_small.html"
    base = "https://someone.github.io/x-rays/"
    assert meta["og:image"].startswith(base) and (book.html / meta["og:image"].removeprefix(base)).is_file()


@pytest.mark.slow
@pytest.mark.browser
def test_a_definition_appears_for_pointer_and_keyboard_and_escape_closes_it(book, chromium):
    for width in (1280, 360):
        with Reader(chromium, width=width) as reader:
            page = reader.open(book.html / "chapters" / "01_small.html")
            word, other = page.locator("a.glossary-link").all()
            tip = page.get_by_role("tooltip")
            assert not tip.is_visible() and word.get_attribute("title") is None
            word.focus()
            assert tip.inner_text() == DEFINITION
            assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == tip.get_attribute("id")
            page.keyboard.press("Escape")
            assert not tip.is_visible() and word.get_attribute("aria-describedby") is None
            other.hover()
            assert tip.is_visible()
            tip.hover()
            assert tip.is_visible(), "the pointer may rest on the definition"
            box = tip.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
            page.mouse.move(2, 2)
            assert not tip.is_visible()
            assert not reader.faults


@pytest.mark.slow
@pytest.mark.browser
def test_a_finger_reads_the_definition_first_and_follows_the_word_at_the_second_tap(book, chromium):
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto((book.html / "chapters" / "01_small.html").as_uri())
    word, other = page.locator("a.glossary-link").all()
    tip = page.get_by_role("tooltip")
    word.tap()
    assert tip.inner_text() == DEFINITION and page.url.endswith("01_small.html")
    page.locator("article h1").tap()
    assert not tip.is_visible()
    other.tap()
    assert tip.is_visible() and page.url.endswith("01_small.html")
    other.tap()
    page.wait_for_url("**/glossary.html#term-haze")
    context.close()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("words", ["kindofhaze", "kind of haze"])
def test_the_search_finds_words_that_are_written_together(book, chromium, words):
    with Reader(chromium) as reader:
        page = reader.open(book.html / "search.html", f"?q={words.replace(' ', '+')}")
        page.locator("#search-results li a", has_text="A small chapter").first.wait_for()


@pytest.mark.slow
@pytest.mark.browser
def test_a_dark_page_is_light_on_paper_and_nothing_is_folded(book, chromium):
    with Reader(chromium, scheme="dark") as reader:
        page = reader.open(book.html / "chapters" / "01_small.html")
        page.evaluate(
            "document.querySelector('article').insertAdjacentHTML('beforeend', '<details><p>folded</details>')"
        )
        page.evaluate("""() => addEventListener("beforeprint", () => {
            const folds = [...document.querySelectorAll("details")];
            globalThis.printed = [document.documentElement.dataset.theme, folds.length, folds.every((f) => f.open)];
        })""")
        page.pdf()
        assert page.evaluate("printed") == ["light", 1, True]
        page.wait_for_function(
            "document.documentElement.dataset.theme === 'dark' && !document.querySelector('details[open]')"
        )
