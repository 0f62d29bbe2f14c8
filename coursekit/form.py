"""The form of a chapter, counted: how much of the visible code only prints, and which questions have no answer."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext

from .build_book import chapters
from .notebooks import HIDDEN
from .questions.predictions import BLOCK, CELL

#: Code that shows a result and computes none.
SHOWING = re.compile(r"\bprint\(|\.style\b|\.alt = |\.join\(|display\(")
MOST = 0.10  # of the visible lines of code


def cells(chapter: Path) -> Iterator[tuple[str, set[str], str]]:
    """Give the cells of a chapter: kind, tags, source."""
    for cell in jupytext.reads(chapter.read_text(encoding="utf-8"), fmt="md:myst").cells:
        yield cell.cell_type, set(cell.metadata.get("tags", ())), cell.source


def printing(chapter: Path) -> tuple[int, int]:
    """Count the lines of code that a reader sees: those in statements that only show something, and all."""
    shown, total = 0, 0
    for kind, tags, source in cells(chapter):
        if kind != "code" or tags & HIDDEN:
            continue
        lines = [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        total += len(lines)
        code = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M)
        shown += sum(_lines(node, code) for node in ast.parse(code).body)
    return shown, total


def _lines(node: ast.stmt, code: str) -> int:
    """Count the lines of a statement, or inside of it, that show something."""
    blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
    if any(blocks) and not isinstance(node, ast.Expr):
        return sum(_lines(inner, code) for block in blocks for inner in block)
    text = ast.get_source_segment(code, node) or ""
    return len(text.splitlines()) if SHOWING.search(text) else 0


def unanswered(chapter: Path) -> list[str]:
    """Give the questions of a chapter that no sentence follows before the next question or the section's end."""
    text, found = CELL.sub("", chapter.read_text(encoding="utf-8")), []
    for match in BLOCK.finditer(text):
        rest = re.split(r"^(?:#|:::\{predict\})", text[match.end() :], maxsplit=1, flags=re.M)[0]
        answers = [part for part in re.split(r"\n\s*\n", rest) if re.match(r"\s*[\w*`\[\"$]", part)]
        if not any(part.rstrip().endswith((".", "!", ")", ":")) for part in answers):
            found.append(" ".join(match[2].split()))
    return found


def main() -> int:
    """Print a line per chapter; exit code 1 where one is out of form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chapter", nargs="*", type=Path, help="default: all")
    bad = 0
    for chapter in parser.parse_args().chapter or chapters():
        (shown, total), open_questions = printing(chapter), unanswered(chapter)
        bad += shown > MOST * total or bool(open_questions)
        print(f"{chapter.name}: {shown} of {total} visible lines only show ({shown / max(total, 1):.0%})")
        for question in open_questions:
            print(f"  no answer: {question}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
