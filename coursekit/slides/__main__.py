"""``python -m coursekit.slides``: a deck per chapter, from the executed chapters of the built book.

They lie beside the book's pages, in ``_build/html/slides``, and are published with them. Press S for the speaker's
view; put ``?print-pdf`` behind the address to print, or ask for ``--pdf``.
"""

from __future__ import annotations

import argparse
import html
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from ..build_book import chapters, chosen
from ..build_notes import say_unusual
from ..course import ROOT, Course
from ..execute_chapters import executed
from ..questions.predictions import happened_in, of_chapter, title_of
from .plan import Slide, slides_of
from .render import DeckMarkdown, to_html

INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Slides: {title}</title>
<link rel="icon" href="../_static/favicon.svg">
<style>body {{ font: 1.2rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }}</style>
</head><body><h1>Slides</h1><p>{foot}</p><ol>
{items}
</ol><p>Keys: space goes through all slides, the arrow to the right skips the code below a slide, S opens the
speaker's view, F the full screen, Esc the overview. To print, put <code>?print-pdf</code> behind the address.
<a href="../index.html">The book</a></p></body></html>
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def plan(chapter: Path, cache_folder: Path) -> list[Slide]:
    """Plan the slides of a chapter; its outputs come from the book's cache. LookupError where they are not there."""
    predictions = of_chapter(chapter, happened_in(ROOT).get(chapter.stem))
    return slides_of(executed(chapter, cache_folder), DeckMarkdown.of(chapter, ROOT), predictions)


def foot_of(course: Course) -> list[str]:
    """Return the lines that name a course and its people."""
    return [" · ".join(course.head), *filter(None, [course.credit])]


def write_index(decks: dict[str, str], folder: Path, course: Course) -> None:
    """Write the list of all decks of a course."""
    lines = [f'<li><a href="{name}.html">{html.escape(title)}</a></li>' for name, title in decks.items()]
    title, foot = html.escape(course.head[0]), "<br>".join(map(html.escape, foot_of(course)))
    page = INDEX.format(title=title, foot=foot, items="\n".join(lines))
    (folder / "index.html").write_text(page, encoding="utf-8")


def print_pdf(page: Path) -> Path:
    """Print a deck with Chromium; LookupError where it or playwright is missing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser or not find_spec("playwright"):
        raise LookupError(f"Chromium or playwright is missing here: open {page}?print-pdf in a browser, and print")
    from playwright.sync_api import sync_playwright

    pdf = page.with_suffix(".pdf")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = chromium.new_page()
        tab.goto(f"{page.as_uri()}?print-pdf")
        tab.wait_for_selector("body[data-ready] .pdf-page", timeout=120_000)
        tab.pdf(path=pdf, prefer_css_page_size=True, print_background=True)
        chromium.close()
    return pdf


def main(arguments: list[str] | None = None) -> int:
    """Write the decks."""
    parser = argparse.ArgumentParser("python -m coursekit.slides", description=__doc__.partition("\n")[0])
    parser.add_argument("chapter", nargs="*", help="how the name of a chapter begins: 03 [default: all]")
    parser.add_argument("--pdf", action="store_true", help="print each deck, too, with Chromium")
    asked, build = parser.parse_args(arguments), ROOT / "_build"
    try:
        course, paths = Course.read(), chosen(asked.chapter)
    except ValueError as error:  # a start that fits none; course.yml
        parser.error(str(error))
    folder = build / "html" / "slides"
    try:
        if not (build / "html" / "_static" / "reveal").is_dir():
            raise LookupError(f"{build / 'html'} holds no book; build it first: make book")
        folder.mkdir(exist_ok=True)
        for path in paths:
            slides = plan(path, build / ".jupyter_cache")
            page = folder / f"{path.stem}.html"
            page.write_text(to_html(slides, foot_of(course)), encoding="utf-8")
            print(f"{path.stem}: {len(slides)} slides")
            if asked.pdf:
                print(f"  {print_pdf(page)}")
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    made = {path.stem: title_of(path) for path in chapters() if (folder / f"{path.stem}.html").exists()}
    write_index(made, folder, course)
    say_unusual(build)
    print(f"The slides: {folder / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
