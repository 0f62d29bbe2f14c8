"""Which slides a chapter makes: an executed chapter in, a list of slides out.

A section's heading starts a slide with its first sentences. A list, a table, a formula and a picture are slides; so is
*Predict first*, and the next result then says what came true. A cell's output is a slide, and its code, if people see
it and it is short, stands below that one: the arrow to the right passes it by. All other prose is for the speaker.

Where that is not right, the chapter says so: the tag ``no-slide`` leaves a cell out, ``code-slide`` takes its code
whatever its length; the comment ``% slide: words`` gives a section's slide other words, and ``% no-slide`` leaves the
next block out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nbformat import NotebookNode

from ..notebooks import HIDDEN, Markdown
from ..questions.predictions import Prediction, plain, question_id
from .blocks import blocks, first, items, last

CODE_LINES = 18  # more do not fit a slide that people read from the back row
SECTION_WORDS = 50
LIST_ITEMS, LIST_WORDS = 8, 30
NO_SECTION = ("References",)
MADE_BY_BUILD = ("bootstrap", "claims", "no-slide")


@dataclass
class Slide:
    """One slide.

    Parameters
    ----------
    kind
        ``title``, ``goals``, ``section``, ``text``, ``predict``, ``result``, ``widget`` or ``code``.
    heading
        The section that it belongs to; on the first slide the title.
    before, body, caption
        Markdown: what leads to a question; what stands above the output, and below it.
    cell
        The code cell whose output it shows.
    notes
        What the speaker sees, paragraph by paragraph.
    """

    kind: str
    heading: str
    body: str = ""
    before: str = ""
    cell: NotebookNode | None = None
    caption: str = ""
    notes: list[str] = field(default_factory=list)


class Plan:
    """The slides of a chapter, made block by block."""

    def __init__(self, markdown: Markdown, predictions: list[Prediction]) -> None:
        self.markdown = markdown
        self.predictions = {one.id: one for one in predictions}
        self.slides: list[Slide] = []
        self.section = ""
        self.asked: Prediction | None = None  # whose answer no slide has told yet
        self.open = ""  # the last paragraph, which may lead to what follows
        self.skip = self.left_out = False

    def add(self, kind: str, body: str = "", cell: NotebookNode | None = None, notes: str = "") -> Slide:
        """Append a slide."""
        self.slides.append(Slide(kind, self.section, body, cell=cell, notes=[notes] if notes else []))
        return self.slides[-1]

    @property
    def last(self) -> Slide:
        """The slide that prose now belongs to."""
        return next(slide for slide in reversed(self.slides) if slide.kind != "code")

    def cell(self, cell: NotebookNode) -> None:
        """Take a cell of the executed chapter."""
        if cell.cell_type == "markdown":
            for kind, text in blocks(cell.source):
                self.block(kind, text)
        elif cell.cell_type == "code" and not self.skip:
            self.code(cell)

    def block(self, kind: str, text: str) -> None:
        """Take a block of prose."""
        if kind == "heading":
            self.heading(text)
        elif kind == "comment":
            self.comment(text)
        elif self.skip or self.left_out:
            self.left_out = False
        elif kind == "predict":
            self.predict(text)
        elif kind in ("figure", "image", "math", "table"):
            self.add("text", "\n\n".join(filter(None, [self.lead(), self.markdown.convert(text)])))
        elif kind == "list":
            self.list(text)
        elif kind == "text":
            self.paragraph(text)
        else:
            self.last.notes.append(self.markdown.convert(text))

    def comment(self, text: str) -> None:
        """Take a wish of the chapter's author."""
        self.left_out = text.strip() == "% no-slide"
        if (words := re.match(r"% slide: (.+)", text)) and self.slides:
            self.last.body = self.markdown.convert(words[1])

    def heading(self, text: str) -> None:
        """Begin the chapter, or a section."""
        level, title = re.match(r"(#+) (.+)", text).groups()
        self.section, self.asked, self.open = self.markdown.convert(title), None, ""
        self.skip = title in NO_SECTION
        if not self.skip:
            self.add("title" if level == "#" else "section")

    def paragraph(self, text: str) -> None:
        """Say a paragraph's first sentences on the slide that has no words yet; the speaker gets all of it."""
        whole, last_slide = self.markdown.convert(text), self.last
        if last_slide.kind == "title" and whole.startswith("After it you can"):
            self.section = "After it you can"
            self.add("goals")
            return
        if self.asked and plain(text) == self.asked.told:
            last_slide = self.add("result")  # what was asked can be said without a cell
            self.answer(last_slide)
        if last_slide.kind == "title" and not last_slide.body:
            last_slide.body = whole
        elif last_slide.kind == "section" and not last_slide.body:
            last_slide.body = self.markdown.convert(first(text, SECTION_WORDS))
        elif last_slide.kind == "result" and not last_slide.caption:
            last_slide.caption = self.markdown.convert(first(text))
        else:
            self.open = whole
        last_slide.notes.append(whole)

    def list(self, text: str) -> None:
        """Show a list: of each item what fits a line or two."""
        last_slide = self.last
        if last_slide.kind == "goals" and not last_slide.body:
            last_slide.body = self.markdown.convert(text)
            self.section = ""
            return
        short = [first(item, LIST_WORDS) for item in items(text)]
        body = self.markdown.convert("\n".join(f"- {item}" for item in short[:LIST_ITEMS]))
        whole = self.markdown.convert(text)
        if last_slide.kind == "section" and len(last_slide.body.split()) < 40 and len(last_slide.notes) < 2:
            last_slide.body = "\n\n".join(filter(None, [last_slide.body, body]))
            last_slide.notes.append(whole)
        else:
            self.add("text", "\n\n".join(filter(None, [self.lead(), body])), notes=whole)

    def lead(self) -> str:
        """Return how the last paragraph ended, which leads to what follows, unless a slide shows it."""
        line, self.open = last(self.open), ""
        return line

    def predict(self, text: str) -> None:
        """Ask, and remember what to answer."""
        options, question = self.markdown.options(text.split("\n")[1:-1])
        self.asked = self.predictions[question_id("\n".join(question))]
        named = [choice.strip() for choice in options.get("choices", "").split("|")]
        choices = [f"- {self.markdown.convert(choice)}" for choice in named if choice]
        ask = (
            "Ask the room: let everybody write down one of the choices, then count hands for each. Let one person of "
            "the largest group and one of the smallest say why, before you go on."
            if choices
            else "Ask the room: let everybody write a guess down. Let two people say theirs, and why, before you go on."
        )
        self.add("predict", "\n".join([*self.markdown.lines(question), "", *choices]), notes=ask).before = self.lead()

    def code(self, cell: NotebookNode) -> None:
        """Show what a cell put out, and below it its code."""
        tags = set(cell.metadata.get("tags", ()))
        if tags.intersection(MADE_BY_BUILD) or self.last.kind in ("title", "goals"):
            return
        if any(output.output_type != "error" for output in cell.outputs):
            live = any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in cell.outputs)
            slide = self.add("widget" if live else "result", cell=cell)
            if self.asked and "question" not in tags:
                self.answer(slide)
            elif not live:
                slide.body = self.lead()
        lines = len(cell.source.strip().splitlines())
        if "code-slide" in tags or (not tags & HIDDEN and 1 < lines <= CODE_LINES):
            self.add("code", f"```python\n{cell.source.strip()}\n```")

    def answer(self, slide: Slide) -> None:
        """Say on the slide of a result what came true."""
        if self.asked.happened:
            slide.body = f"**{self.asked.happened}**"
            slide.notes.append(f"What came true: {self.asked.happened}. Who guessed it, and who can say why it is so?")
        elif self.asked.choices:
            slide.notes.append("None of the choices is right or wrong here: ask who found what.")
        self.asked = None


def slides_of(notebook: NotebookNode, markdown: Markdown, predictions: list[Prediction]) -> list[Slide]:
    """Plan the slides of an executed chapter."""
    plan = Plan(markdown, predictions)
    for cell in notebook.cells:
        plan.cell(cell)
    return [slide for slide in plan.slides if _says_something(slide)]


def _says_something(slide: Slide) -> bool:
    """Whether there is more on a slide than a heading, or a shape in brackets."""
    if slide.kind != "result" or slide.body or slide.caption:
        return True
    shown = [output.get("data", {"text/plain": output.get("text", "")}) for output in slide.cell.outputs]
    return any("text/html" in data or data.get("text/plain", "").count("\n") > 1 for data in shown)
