"""The slides of a chapter: which there are, that they fit a screen, and that they need no network."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from coursekit.build_book import chapters
from coursekit.course import ROOT, Course
from coursekit.questions.predictions import happened_in, of_chapter
from coursekit.slides.__main__ import foot_of, write_index
from coursekit.slides.blocks import blocks, first, items, last, sentences
from coursekit.slides.plan import CODE_LINES, slides_of
from coursekit.slides.render import DeckMarkdown, to_html

BOOK = ROOT / "_build" / "html"
TEXT = """\
# Toys

**The idea of this chapter:** a toy is enough.

After it you can

- count to $n$,
- stop.

## One

Count first. Then look at `a. B`, (which. Is one) thing. A third sentence that is so long that it does not fit the slide
beside the two others, because the words that it has are more than forty, and so on and on, word after word, until the
reader has lost patience and the slide would have no room for anything else at all.

@@ x = 1@@ @@

:::{predict}
:choices: one | two
How many are there?
:::

@@x = 2
x@@2@@

Two. As we said.

## Two

% slide: Other words.

Words that are not on the slide.

$$ a = b $$

@@secret@@no@@no-slide

% no-slide

- a list that stays in the book

@@LONG@@@@code-slide

- an item. Its second sentence.
- another

## References

- Somebody, *Something*.
"""


LONG = "\n".join(f"x = {n}" for n in range(CODE_LINES + 1))
TEXT = TEXT.replace("LONG", LONG)


def notebook(text: str) -> nbformat.NotebookNode:
    """Markdown in which @@code@@output@@tags is a cell."""
    cells = []
    for part in re.split(r"(@@.*?@@.*?@@[\w-]*)", text, flags=re.S):
        if not part.startswith("@@"):
            cells.append(nbformat.v4.new_markdown_cell(part))
            continue
        code, output, tags = part[2:].split("@@")
        outputs = [nbformat.v4.new_output("execute_result", {"text/plain": output})] if output.strip() else []
        cells.append(nbformat.v4.new_code_cell(code.strip(), outputs=outputs, metadata={"tags": tags.split()}))
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "chapters" / "01_toys.md"
    path.parent.mkdir()
    path.write_text(TEXT)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    return slides_of(notebook(TEXT), DeckMarkdown.of(path, tmp_path), of_chapter(path, {"How many": "two"}))


def test_sentences_end_where_they_end():
    assert sentences("See (e.g. Kermany et al. 2018). It is `a. B`, 0.5 (so. It is) here. Why? *Because*.") == [
        "See (e.g. Kermany et al. 2018).",
        "It is `a. B`, 0.5 (so. It is) here.",
        "Why?",
        "*Because*.",
    ]
    assert first("One two. Three four. Five.", 4) == "One two. Three four." and last("One. Two three. Four.", 3) == (
        "Two three. Four."
    )
    assert items("- one\n  more\n- two") == ["one more", "two"]


def test_blocks_are_found_within_a_paragraph_and_in_fences():
    text = "A word\n- item\n\n:::{note}\n\n# no heading\n:::\n$$ a $$\n$$\nb\n$$\n% said\n| a |\n|---|"
    assert [kind for kind, _ in blocks(text)] == ["text", "list", "note", "math", "math", "comment", "table"]
    assert "".join(part for _, part in blocks(text)).replace("\n", "") == text.replace("\n", "")


def test_a_chapter_makes_its_slides_by_the_rules(toy):
    kinds = [slide.kind for slide in toy]
    assert kinds == ["title", "goals", "section", "predict", "result", "code", "section", "text", "code", "text"]
    title, goals, one, predict, result, code, two, formula, long, points = toy
    assert title.heading == "Toys" and "a toy is enough" in title.body and "count to $n$" in goals.body
    assert one.body == "Count first. Then look at `a. B`, (which. Is one) thing." and "patience" in one.notes[0]
    assert "- one\n- two" in predict.body and "hands" in predict.notes[0]
    assert result.body == "**two**" and result.caption == "Two. As we said." and "came true: two" in result.notes[0]
    assert code.body == "```python\nx = 2\nx\n```" and code.heading == "One"
    assert two.body == "Other words." and "not on the slide" in two.notes[0]
    assert formula.body == "Words that are not on the slide.\n\n$$ a = b $$" and points.body.startswith("- an item.")
    assert long.body == f"```python\n{LONG}\n```"
    assert not any("secret" in slide.body or "stays in the book" in slide.body for slide in toy)


@pytest.mark.parametrize("chapter", chapters(), ids=lambda path: path.stem)
def test_every_chapter_has_its_slides_without_what_is_the_builds(chapter):
    cells = jupytext.reads(chapter.read_text(encoding="utf-8"), fmt="md:myst").cells
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text="an output\nof\nsome lines\n")]
    asked = of_chapter(chapter, happened_in(ROOT).get(chapter.stem))
    slides = slides_of(nbformat.v4.new_notebook(cells=cells), DeckMarkdown.of(chapter, ROOT), asked)
    assert slides[0].kind == "title"
    if chapter.stem[0].isdigit():  # an appendix has neither
        assert slides[1].kind == "goals" and slides[-1].heading == "Exercise"
    assert sum(slide.kind == "predict" for slide in slides) == len(asked)
    told = [slide.body.strip("*") for slide in slides if slide.kind == "result" and slide.body.startswith("**")]
    assert [one.happened for one in asked if one.happened] == told
    codes = [slide.body for slide in slides if slide.kind == "code"]
    assert not any("google.colab" in code or "if BOOK:" in code for code in codes)
    assert all(code.count("\n") <= CODE_LINES + 1 for code in codes)


def test_the_deck_holds_everything_and_names_no_host(toy):
    course = Course(ROOT, (), (), title="Lungs & more", author="Dr. X")
    page = to_html(toy, foot_of(course))
    assert 'Lungs &amp; more · Dr. X<br/>After "' in page.partition("After it you can")[0]
    assert page.count('<aside class="notes">') == sum(bool(slide.notes) for slide in toy)
    assert "class=course" not in page.partition("After it you can")[2], "on the first slide only"
    assert not re.search(r"""(?:src|href)=["'](?!\.\./|data:|#)""", page) and "require" not in page


def test_the_list_of_decks_names_the_course_and_its_people(tmp_path):
    write_index({"01_a": "Toys"}, tmp_path, Course(ROOT, (), (), author="Dr. X"))
    page, title = (tmp_path / "index.html").read_text(), html.escape(Course(ROOT, (), ()).head[0])
    assert f"<title>Slides: {title}</title>" in page and '<a href="01_a.html">Toys</a>' in page
    assert f"<p>{title} · Dr. X<br>After &quot;{title}&quot; by " in page


def test_revealjs_is_here_with_its_licence_and_the_hash_of_its_package():
    folder = ROOT / "book" / "_static" / "reveal"
    assert "MIT" in (folder / "reveal.js").read_text()[:200] and "Hakim El Hattab" in (folder / "LICENSE").read_text()
    assert {path.name for path in folder.iterdir()} == {"LICENSE", "notes.js", "reveal.css", "reveal.js"}
    script = (ROOT / "tools" / "reveal.sh").read_text()
    assert re.search(r"^sha512=[0-9a-f]{128}$", script, re.M) and "sha512sum --check" in script


def test_without_a_book_it_says_what_to_do(tmp_path):
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "book").mkdir()
    shutil.copy(ROOT / "book" / "_toc.yml", tmp_path / "book")
    done = subprocess.run([sys.executable, "-m", "coursekit.slides"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "make book" in done.stderr and "Traceback" not in done.stderr


def open_deck(chromium, path: Path, query: str = ""):
    """The deck in a page of 1,280 by 720, which asks nobody for anything and says nothing on its console."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else pytest.fail())
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("console", lambda message: pytest.fail(message.text) if message.type == "error" else None)
    page.goto(path.as_uri() + query)
    page.wait_for_selector("body[data-ready]", state="attached", timeout=60_000)
    return page


#: Slides whose content ends below or beside the screen; a widget scrolls by itself.
TOO_LARGE = """() => [...document.querySelectorAll(".page")].map((page) => {
  const section = page.parentElement, hidden = getComputedStyle(section).display === "none";
  if (hidden) section.style.display = "block";
  const stack = section.parentElement, stacked = getComputedStyle(stack).display === "none";
  if (stacked) stack.style.display = "block";
  const found = page.scrollHeight > 721 || page.scrollWidth > 1281
    || [...page.querySelectorAll("pre, table")].some((one) =>
      !one.closest(".cxr-static") && one.scrollWidth > one.clientWidth + 2);
  if (hidden) section.style.display = "";
  if (stacked) stack.style.display = "";
  return found && `${section.className}: ${page.innerText.slice(0, 80)}`;
}).filter(Boolean)"""


@pytest.mark.browser
def test_slides_fit_and_are_printed_and_the_speaker_sees_the_notes(toy, tmp_path, chromium):
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "html" / "_static")
    deck = tmp_path / "html" / "slides" / "01_toys.html"
    deck.parent.mkdir()
    toy[2].body = "\n\n".join(["A line that has to shrink."] * 20)  # more than a screen
    deck.write_text(to_html(toy))
    page = open_deck(chromium, deck)
    assert page.evaluate("Reveal.getTotalSlides()") == len(toy) and not page.evaluate(TOO_LARGE)
    assert page.evaluate("document.querySelectorAll('.section .fit')[0].style.zoom") < "0.8"
    assert page.locator("mjx-container").count() == 2
    page.evaluate("Reveal.slide(3)")
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    popup.value.wait_for_selector("text=Ask the room", timeout=20_000)
    page.context.close()
    printed = open_deck(chromium, deck, "?print-pdf")
    assert printed.locator(".pdf-page").count() == len(toy)
    printed.context.close()


@pytest.mark.slow
@pytest.mark.browser
def test_the_slides_of_the_built_book_fit(chromium):
    if not (BOOK / "index.html").is_file():
        pytest.skip("build the book first: make book")
    done = subprocess.run([sys.executable, "-m", "coursekit.slides"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for chapter in chapters():
        page = open_deck(chromium, BOOK / "slides" / f"{chapter.stem}.html")
        assert not page.evaluate(TOO_LARGE), chapter
        assert page.locator("img:not([alt])").count() == 0
        small = "[...document.querySelectorAll('.page > .fit')].filter((one) => one.style.zoom < 0.5).length"
        assert not page.evaluate(small), "a slide that nobody can read: leave it out or cut it"
        page.context.close()
