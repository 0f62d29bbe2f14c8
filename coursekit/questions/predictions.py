"""The *Predict first* of the chapters: their choices, which of them happened, and what the text says afterwards."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..course import REFERENCE, Course, title_in

#: A block ``:::{predict}``: its choices, or none, and the question.
BLOCK = re.compile(r"^:::\{predict\}\n(?::choices:([^\n]*)\n)?(.*?)\n:::$", re.M | re.S)
#: A cell of code: its options, and its source.
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Prediction:
    """One question of a chapter.

    Parameters
    ----------
    id
        The anchor of its box on the page.
    question, choices, told
        As plain text; `told` is what the chapter says after the result. No choices: an answer in one's own words.
    section
        The heading above it.
    happened
        The choice that came true in the book's build; none where nothing is right or wrong.
    """

    id: str
    question: str
    choices: tuple[str, ...]
    section: str
    told: str
    happened: str | None = None


def question_id(text: str) -> str:
    """Return the anchor of a question's box, from its text."""
    return f"predict-{hashlib.sha256(' '.join(text.split()).encode()).hexdigest()[:10]}"


def plain(text: str) -> str:
    """Return Markdown as text in one line, without links, roles, emphasis and the dollars of formulas."""
    if REFERENCE.search(text):
        text = Course.read().spelled(text)
    text = re.sub(r"\{[\w:-]+\}`([^`<]+?)(?:\s*<[^>]*>)?`", r"\1", " ".join(text.split()))
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\\[a-z]*frac\{([^}]*)\}\{([^}]*)\}", r"\1/\2", text).replace(r"\cdot", "·").replace("$", "")
    return re.sub(r"(\*{1,2})(?=\S)(.+?)(?<=\S)\1", r"\2", text).replace("`", "")


def title_of(chapter: Path) -> str:
    """Return a chapter's title."""
    return plain(title_in(CELL.sub("", chapter.read_text(encoding="utf-8"))) or chapter.stem)


def of_chapter(chapter: Path, happened: dict[str, str | None] | None = None) -> list[Prediction]:
    """Read the questions of a chapter.

    ``happened`` tells by how a question begins the choice that came true, or None where no choice is right.
    """
    text, found = chapter.read_text(encoding="utf-8"), []
    for match in BLOCK.finditer(text):
        question = plain(match[2])
        choices = tuple(plain(choice) for choice in (match[1] or "").split("|") if choice.strip())
        above = re.findall(r"^#+ (.+)$", CELL.sub("", text[: match.start()]), re.M)
        what = next((choice for start, choice in (happened or {}).items() if question.startswith(start)), None)
        what = what if what in choices else None
        section = plain(above[-1]) if above else ""
        found.append(
            Prediction(question_id(match[2]), question, choices, section, _told(text[match.end() :], what), what)
        )
    return found


def out_of_date(chapter: Path, happened: dict[str, str | None]) -> list[str]:
    """Say which lines of `happened` do not fit the chapter, and which of its questions with choices have no line."""
    asked = [one for one in of_chapter(chapter) if one.choices]
    said = [f"no line for {one.question!r}" for one in asked if not any(map(one.question.startswith, happened))]
    for start, choice in happened.items():
        fits = [one for one in asked if one.question.startswith(start)]
        if not fits:
            said.append(f"no question with choices begins with {start!r}")
        elif choice not in (*fits[0].choices, None):
            said.append(f"{choice!r} is none of the choices of {fits[0].question!r}: {' | '.join(fits[0].choices)}")
    return said


def _told(after: str, happened: str | None) -> str:
    """Return the paragraph behind the result that names what happened, else the first one there."""
    after = re.split(r"^(?:#+ |:::\{predict\})", without_comments(after), maxsplit=1, flags=re.M)[0]
    cells = [cell for cell in CELL.finditer(after) if "question" not in cell[1]]
    parts = re.split(r"\n\s*\n", CELL.sub("", after[cells[0].end() if cells else 0 :]))
    parts = [plain(part) for part in parts if re.match(r"\s*[\w*\"({$`]", part) and not part.lstrip().startswith("- ")]
    return next((part for part in parts if happened and happened.lower() in part.lower()), (parts or [""])[0])


def without_comments(text: str) -> str:
    """Indent what begins with # inside of cells, so that only headings begin with it."""
    return CELL.sub(lambda cell: re.sub(r"^#", " #", cell[0], flags=re.M), text)


def happened_in(root: Path) -> dict[str, dict[str, str | None]]:
    """Read ``questions/predictions.yml``: chapter -> how a question begins -> the choice that came true."""
    path = root / "questions" / "predictions.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
