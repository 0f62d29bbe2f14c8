"""``python -m coursekit.questions``: the banks and the predictions, as files for a learning system."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..build_book import chosen
from ..build_notes import say_unusual
from ..course import ROOT
from . import export
from .bank import of_predictions, read
from .built import Page
from .predictions import happened_in, of_chapter, out_of_date, title_of

FORMATS = ("moodle", "qti", "markdown")


def write(chapter: Path, out: Path, book: Path, formats: tuple[str, ...] = FORMATS) -> list[str]:
    """Write the questions of a chapter into the folder ``out``, and return what is to be said about them, in lines.

    Its bank is the file of its name in ``questions/``, if there is one; ``book`` is the folder of the built book.
    """
    bank, name, notes = ROOT / "questions" / chapter.name, chapter.stem, []
    title = title_of(chapter)
    quizzes = {}  # the end of a file's name -> title, quiz
    with tempfile.TemporaryDirectory() as pictures:
        if bank.is_file():
            quiz, left_out = read(bank, Page(book / "chapters" / f"{name}.html", Path(pictures)), ROOT / "results")
            quizzes[""] = (title, quiz)
            notes += [f"left out: {what}" for what in left_out]
        else:
            notes.append(f"no bank, questions/{chapter.name}")
    happened = happened_in(ROOT).get(name, {})
    asked = of_chapter(chapter, happened)
    if any(one.choices for one in asked):
        quizzes["-predict-first"] = (f"{title}: Predict first", of_predictions(title, asked))
    notes += [f"questions/predictions.yml: {what}" for what in out_of_date(chapter, happened)]
    if open_ones := [one.question for one in asked if one.choices and one.happened is None]:
        notes.append(f"no choice is right, so the answer is in words: {'; '.join(open_ones)}")
    if quizzes:
        out.mkdir(parents=True, exist_ok=True)
        if "moodle" in formats:
            export.moodle(quizzes.values(), out / f"{name}.moodle.xml")
        if "qti" in formats:
            for end, (_, quiz) in quizzes.items():
                export.qti(quiz, out / f"{name}{end}.qti.zip")
        if "markdown" in formats:
            export.markdown(quizzes.values(), out / f"{name}.md")
    counts = " and ".join(f"{len(quiz.questions_and_delims)} in {what!r}" for what, quiz in quizzes.values())
    return [f"{name}: {counts or 'no questions'}", *(f"  {note}" for note in notes)]


def main(arguments: list[str] | None = None) -> int:
    """Write the questions of the chapters."""
    parser = argparse.ArgumentParser(
        "python -m coursekit.questions",
        description="Write the questions of the chapters as Moodle XML, QTI 1.2 (Canvas, Blackboard) and Markdown.",
    )
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "_build" / "questions", help="folder for the files")
    parser.add_argument("--chapter", action="append", metavar="NAME",
                        help="a chapter, or how its name begins: 03; repeatable [default: all]")  # fmt: skip
    parser.add_argument("--format", action="append", choices=FORMATS, help="repeatable [default: all]")
    parser.add_argument("--book", type=Path, default=ROOT / "_build" / "html", help="the built book, for its numbers")
    asked = parser.parse_args(arguments)
    try:
        paths = chosen(asked.chapter or ())
    except ValueError as error:  # a start that fits none; course.yml
        parser.error(str(error))
    try:
        for path in paths:
            print("\n".join(write(path, asked.out, asked.book, tuple(asked.format or FORMATS))))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    say_unusual(asked.book.parent)
    print(f"The files are in {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
