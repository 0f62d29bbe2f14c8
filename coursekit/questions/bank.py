"""Read the bank of a chapter, and its predictions, as a quiz of text2qti."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from string import ascii_lowercase

import jinja2
from text2qti.config import Config
from text2qti.err import Text2qtiError
from text2qti.quiz import Quiz

from .built import NotShown, Page
from .predictions import Prediction

#: In a bank, what stands between one question and the next.
TITLE = re.compile(r"^(?=Title: )", re.M)


def read(path: Path, page: Page, results: Path) -> tuple[Quiz, list[str]]:
    """Read a bank, ``questions/NN_topic.md``: its questions, and those that are left out, each with the reason.

    In it ``cell``, ``printed`` and ``figure`` ask the chapter's built ``page``, and ``record`` the folder ``results``.
    Left out is what asks for something that the page does not show. Raises ValueError, which names the question, if one
    is not well formed, or asks for a record that is not there.
    """

    def record(name: str) -> dict:
        return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - no HTML
    environment.globals = {"record": record, "cell": page.cell, "printed": page.printed, "figure": page.figure}
    environment.globals |= {"round": round, "sum": sum, "min": min, "max": max, "abs": abs, "log": math.log}
    head, *questions = TITLE.split(path.read_text(encoding="utf-8"))
    texts, left_out = [], []
    for question in questions:
        title = question.partition("\n")[0].removeprefix("Title: ")
        try:
            texts.append(environment.from_string(question).render())
        except NotShown as error:
            left_out.append(f"{title}: {error}")
        except (jinja2.TemplateError, LookupError, OSError, TypeError) as error:
            raise ValueError(f"{path.name}, {title!r}: {error}") from error
    return _quiz(head + "".join(texts), path.name), left_out


def of_predictions(title: str, predictions: Iterable[Prediction]) -> Quiz:
    """Make a quiz of the questions that have choices.

    The choices keep their order. Where none of them came true, the answer is in one's own words.
    """
    lines = [f"Quiz title: {title}: Predict first", "Shuffle answers: false", ""]
    for one in predictions:
        if not one.choices:
            continue
        free = f" ({'; '.join(one.choices)})" if one.happened is None else ""
        lines += [f"Title: {one.section}", f"1. {_escaped(one.question + free)}"]
        lines += [f"... {_escaped(one.told)}"] if one.told else []
        for letter, choice in zip(ascii_lowercase, () if free else one.choices, strict=False):
            lines.append(f"{'*' if choice == one.happened else ''}{letter}) {_escaped(choice)}")
        lines += ["____", ""] if free else [""]
    return _quiz("\n".join(lines), f"the predictions of {title}")


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_`\[\]<>])", r"\\\1", text)


def _quiz(text: str, name: str) -> Quiz:
    if "$" in text:
        line = next(line for line in text.splitlines() if "$" in line)
        raise ValueError(
            f"{name}: {line!r} has a $. Learning systems set formulas in different ways: write it in words"
        )
    try:
        return Quiz(text, config=Config(), source_name=name)
    except Text2qtiError as error:
        raise ValueError(f"{name}: {error}") from error
