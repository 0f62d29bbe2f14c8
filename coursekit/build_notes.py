"""What a person should know of the built book before others see it.

A quick build, or one on other data, looks like the real one: `make book` keeps its settings in `_build/.complete`, and
what takes the book or its numbers to a class says so. `python -m coursekit.build_notes`: what `make publish` says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from .course import ROOT


def end_build(build: Path, environment: Mapping[str, str]) -> None:
    """Note that a build has ended, and which of its settings let the chapters compute other numbers than they tell."""
    data = environment.get("CXR_DATA") or "phantom"
    said = ["CXR_FAST=1"] * (environment.get("CXR_FAST") == "1") + [f"CXR_DATA={data}"] * (data != "phantom")
    (build / ".complete").write_text(" ".join(said), encoding="utf-8")


def say_unusual(build: Path) -> None:
    """Say so, in one line, where the book in this folder is a quick build or one on other data."""
    mark = build / ".complete"
    if said := mark.read_text(encoding="utf-8") if mark.is_file() else "":
        kind = "a quick build" if said.startswith("CXR_FAST") else "a build on other data"
        numbers = "its numbers do not fit its text. make book makes the real one."
        print(f"Note: this book is {kind} ({said}): {numbers}", file=sys.stderr)


def say_old_slides(book: Path) -> None:
    """Say so, in one line, where slides of a chapter are older than its page."""
    pages = {page: book / "slides" / page.name for page in book.glob("chapters/*.html")}
    if any(deck.is_file() and deck.stat().st_mtime < page.stat().st_mtime for page, deck in pages.items()):
        print("Note: the slides are older than the book: make slides, then publish again.", file=sys.stderr)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    say_unusual(ROOT / "_build")
    say_old_slides(ROOT / "_build" / "html")
