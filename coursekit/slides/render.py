"""A list of slides as one HTML page, by nbconvert and reveal.js."""

from __future__ import annotations

import base64
import html
import mimetypes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nbformat
from nbconvert.exporters import SlidesExporter
from traitlets.config import Config

from ..notebooks import Markdown, Site
from .plan import Slide

HERE = Path(__file__).resolve().parent
#: A widget shows itself as HTML, like everywhere without a kernel.
PRIORITY = ["text/html", "image/svg+xml", "image/png", "text/markdown", "text/latex", "text/plain"]


class DeckMarkdown(Markdown):
    """A chapter's Markdown for its slides: links lead into the book beside them, pictures are in the page."""

    @classmethod
    def of(cls, chapter: Path, root: Path) -> DeckMarkdown:
        """Prepare for one chapter."""
        return cls(chapter, root, replace(Site.read(root / "_config.yml"), book=".."))

    def picture(self, path: str) -> str:
        """Return a picture as a data address."""
        file = self.root / self.relative(path)
        return f"data:{mimetypes.guess_type(file)[0]};base64,{base64.b64encode(file.read_bytes()).decode()}"


def to_notebook(slides: list[Slide], foot: Sequence[str] = ()) -> nbformat.NotebookNode:
    """Return the slides as a notebook in which each cell says what it is on, as nbconvert wants it.

    ``foot`` are lines below the first slide: what course it is, and whose.
    """
    cells = []

    def put(text: str, slide_type: str, kind: str = "") -> None:
        metadata = {"slideshow": {"slide_type": slide_type}, "kind": kind}
        cells.append(nbformat.v4.new_markdown_cell(text, metadata=metadata))

    for slide in slides:
        level = {"title": "#", "section": "##"}.get(slide.kind, "###")
        heading = "Predict first" if slide.kind == "predict" else slide.heading
        before = f"<div class=before>\n\n{slide.before}\n\n</div>\n\n" if slide.before else ""
        words = f"{level} {heading}\n\n{before}{slide.body}"
        put(words, "subslide" if slide.kind == "code" else "slide", slide.kind)
        if slide.cell:
            metadata = {"transient": {"remove_source": True}, "slideshow": {"slide_type": "-"}}
            cells.append(nbformat.v4.new_code_cell("", outputs=slide.cell.outputs, metadata=metadata))
        if slide.caption:
            put(slide.caption, "-")
        if slide is slides[0] and foot:
            put(f"<p class=course>{'<br>'.join(map(html.escape, foot))}</p>", "-")
        if slide.notes:
            put("\n\n".join(slide.notes), "notes")
    return nbformat.v4.new_notebook(cells=cells, metadata={"title": slides[0].heading})


def to_html(slides: list[Slide], foot: Sequence[str] = ()) -> str:
    """Return the deck as a page; `foot` stands below its first slide."""
    config = Config({"NbConvertBase": {"display_data_priority": PRIORITY}})
    left_out = dict.fromkeys(("exclude_anchor_links", "exclude_input_prompt", "exclude_output_prompt"), True)
    exporter = SlidesExporter(config=config, template_name="deck", extra_template_basedirs=[str(HERE)], **left_out)
    return exporter.from_notebook_node(to_notebook(slides, foot))[0]
