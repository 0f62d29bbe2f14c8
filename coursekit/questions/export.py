"""Write a quiz for a learning system: Moodle XML, QTI 1.2 (Canvas, Blackboard), plain Markdown.

text2qti writes QTI. Of the libraries for Moodle XML none writes feedback for each choice and pictures from such a quiz,
so `moodle` does. The format: https://docs.moodle.org/en/Moodle_XML_format
"""

from __future__ import annotations

import base64
import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import ascii_lowercase

from text2qti.qti import QTI
from text2qti.quiz import Choice, Question, Quiz

from cxrlib.files import atomic_path

_PICTURE = re.compile(r"%24IMS-CC-FILEBASE%24/images/([^\"']+)")


def qti(quiz: Quiz, path: Path) -> None:
    """Write a zip file with the quiz and its pictures, which Canvas and Blackboard import."""
    with atomic_path(path) as part:
        part.write_bytes(QTI(quiz).zip_bytes())


def moodle(quizzes: Iterable[tuple[str, Quiz]], path: Path) -> None:
    """Write a Moodle XML file: category -> questions."""
    root = ET.Element("quiz")
    for category, quiz in quizzes:
        element = ET.SubElement(root, "question", type="category")
        _said(element, "category", f"$course$/top/{category}")
        root.extend(_moodle_question(question, quiz) for question in quiz.questions_and_delims)
    ET.indent(root)
    with atomic_path(path) as part:
        ET.ElementTree(root).write(part, encoding="utf-8", xml_declaration=True)


def _moodle_question(question: Question, quiz: Quiz) -> ET.Element:
    kind = {"numerical_question": "numerical", "essay_question": "essay"}.get(question.type, "multichoice")
    element = ET.Element("question", type=kind)
    _said(element, "name", html.unescape(question.title_xml))
    _html(element, "questiontext", question.question_html_xml, quiz)
    _html(element, "generalfeedback", question.feedback_html_xml, quiz)
    ET.SubElement(element, "defaultgrade").text = str(question.points_possible)
    ET.SubElement(element, "penalty").text = "0.3333333"
    if kind == "essay":
        ET.SubElement(element, "responseformat").text = "editor"
        ET.SubElement(element, "responsefieldlines").text = "5"
        return element
    if kind == "numerical":
        middle = (question.numerical_min + question.numerical_max) / 2
        answer = ET.SubElement(element, "answer", fraction="100", format="moodle_auto_format")
        ET.SubElement(answer, "text").text = f"{middle:.10g}"
        ET.SubElement(answer, "tolerance").text = f"{(question.numerical_max - question.numerical_min) / 2:.10g}"
        _html(answer, "feedback", question.correct_feedback_html_xml, quiz)
        if question.incorrect_feedback_html_xml:  # * is any other answer
            other = ET.SubElement(element, "answer", fraction="0", format="moodle_auto_format")
            ET.SubElement(other, "text").text = "*"
            _html(other, "feedback", question.incorrect_feedback_html_xml, quiz)
        return element
    ET.SubElement(element, "single").text = str(question.type != "multiple_answers_question").lower()
    ET.SubElement(element, "shuffleanswers").text = quiz.shuffle_answers_xml
    ET.SubElement(element, "answernumbering").text = "abc"
    right = sum(choice.correct for choice in question.choices)
    for choice in question.choices:
        if choice.correct:
            fraction = 100 / right
        else:  # of several right answers each wrong tick costs as much as a right one earns
            fraction = -100 / right if question.type == "multiple_answers_question" else 0
        answer = ET.SubElement(element, "answer", fraction=f"{fraction:.5f}".rstrip("0").rstrip("."), format="html")
        _into(answer, choice.choice_html_xml, quiz)
        _html(answer, "feedback", choice.feedback_html_xml, quiz)
    return element


def _said(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(ET.SubElement(parent, name), "text").text = text


def _html(parent: ET.Element, name: str, escaped: str | None, quiz: Quiz) -> None:
    """Add an element with HTML and the pictures that it shows."""
    _into(ET.SubElement(parent, name, format="html"), escaped, quiz)


def _into(element: ET.Element, escaped: str | None, quiz: Quiz) -> None:
    text = html.unescape(escaped or "")
    ET.SubElement(element, "text").text = _PICTURE.sub(r"@@PLUGINFILE@@/\1", text)
    pictures = {picture.qti_xml_path.removeprefix("images/"): picture for picture in quiz.images.values()}
    for name in dict.fromkeys(_PICTURE.findall(text)):
        file = ET.SubElement(element, "file", name=name, path="/", encoding="base64")
        file.text = base64.b64encode(pictures[name].data).decode()


def markdown(quizzes: Iterable[tuple[str, Quiz]], path: Path) -> None:
    """Write the questions as Markdown, and behind them the answers with what is said about them.

    Pictures go into a folder ``images`` beside the file.
    """
    questions, answers, number = [], ["# Answers", ""], 0
    for title, quiz in quizzes:
        questions += [f"# {title}", ""]
        for picture in quiz.images.values():
            (path.parent / "images").mkdir(exist_ok=True)
            (path.parent / "images" / picture.name).write_bytes(picture.data)
        for question in quiz.questions_and_delims:
            number += 1
            text = re.sub(r"\]\([^)]*/([^/)]+\.png)\)", r"](images/\1)", question.question_raw)
            questions += [f"**{number}.** {text}", ""]
            questions += [f"- {letter}) {choice.choice_raw}" for letter, choice in _lettered(question)] + [""]
            if not question.choices:
                questions += ["(a number)" if question.type == "numerical_question" else "(in your own words)", ""]
            answers += [f"**{number}.** {_answer(question)}", "", *_feedback(question), ""]
    with atomic_path(path) as part:
        part.write_text("\n".join([*questions, *answers]).rstrip() + "\n", encoding="utf-8")


def _lettered(question: Question) -> Iterator[tuple[str, Choice]]:
    return zip(ascii_lowercase, question.choices, strict=False)


def _answer(question: Question) -> str:
    if question.type == "numerical_question":
        low, high = question.numerical_min, question.numerical_max
        return f"{(low + high) / 2:.6g}" + (f" ± {(high - low) / 2:.2g}" if high > low else "")
    return ", ".join(letter for letter, choice in _lettered(question) if choice.correct)


def _feedback(question: Question) -> list[str]:
    said = [question.feedback_raw, question.correct_feedback_raw, question.incorrect_feedback_raw]
    notes = [f"- {letter}) {choice.feedback_raw}" for letter, choice in _lettered(question) if choice.feedback_raw]
    return [" ".join(text for text in said if text), "", *notes]
