"""What a class predicted, beside what was measured: one page, from the files that students saved in the book."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import jinja2

from ..grade.report import visible
from .predictions import Prediction

MOST_BYTES, MOST_GUESSES, LONGEST = 200_000, 200, 300


def read_guesses(path: Path) -> tuple[str, dict[str, str | int]]:
    """Read a student's file: the name of its page, and question's id -> guess.

    From a book in another language a guess is the choice's number, from 0. Raises ValueError, which says why, if it is
    not such a file.
    """
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is not a plain file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
    try:
        said = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    if not isinstance(said, dict) or said.get("format") != 1 or not isinstance(said.get("chapter"), str):
        raise ValueError("it was not saved by the book (Save my guesses)")
    guesses = said.get("guesses")
    if not isinstance(guesses, list) or len(guesses) > MOST_GUESSES:
        raise ValueError(f"it does not hold a list of at most {MOST_GUESSES} guesses")
    found = {}
    for one in guesses:
        texts = [one.get(key) for key in ("id", "guess")] if isinstance(one, dict) else [None]
        if not all(isinstance(text, str) and len(text) <= LONGEST for text in texts):
            raise ValueError(f"one of its guesses is not a text of at most {LONGEST} characters")
        choice = one.get("choice")
        is_number = type(choice) is int and 0 <= choice < MOST_GUESSES
        found[texts[0]] = choice if is_number else visible(" ".join(texts[1].split()))
    return said["chapter"], found


def page(folder: Path, chapters: Iterable[tuple[str, str, list[Prediction]]]) -> str:
    """Make the page of the students' files in a folder, or in folders below it; ValueError if none can be read.

    ``chapters`` holds name, title and questions of each chapter.
    """
    files: dict[str, list[dict[str, str | int]]] = {}
    unread = []
    for path in sorted(folder.rglob("*.json")):
        try:
            chapter, guesses = read_guesses(path)
            files.setdefault(chapter, []).append(guesses)
        except (ValueError, OSError) as error:
            unread.append((visible(path.relative_to(folder).as_posix()), str(error)))
    if not files:
        why = f", of which none can be read ({unread[0][0]}: {unread[0][1]})" if unread else ""
        raise ValueError(
            f"{folder}: {len(unread)} JSON files{why}. Put the files there that students saved in the book"
        )
    shown, known = [], set()
    for name, title, questions in chapters:
        if handed_in := files.get(name):
            known.add(name)
            ids = {one.id for one in questions}
            strange = sum(identity not in ids for guesses in handed_in for identity in guesses)
            rows = [_counted(one, [guesses[one.id] for guesses in handed_in if one.id in guesses]) for one in questions]
            shown.append({"title": title, "files": len(handed_in), "questions": rows, "strange": strange})
    unread += [(f"{len(files[name])} files", f"they are of a page {name!r}, which this book has not")
               for name in sorted(files.keys() - known)]  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("classroom.html").render(chapters=shown, unread=unread)


def _counted(question: Prediction, guesses: list[str | int]) -> dict:
    """Count the guesses of a question: choice, how many, in percent, whether it came true."""
    named = dict(enumerate(question.choices))
    count = Counter(named.get(guess, str(guess)) for guess in guesses)
    bars = [(choice, count.pop(choice, 0), choice == question.happened) for choice in question.choices]
    total = sum(number for _, number, _ in bars)
    return {
        "question": question,
        "guesses": len(guesses),
        "bars": [(choice, number, round(100 * number / total) if total else 0, true) for choice, number, true in bars],
        "words": sorted(count.items(), key=lambda item: (-item[1], item[0])),
    }
