"""What the book adds to Jupyter Book.

Chapters called by name, lists and plans of the chapters that the course has, questions that wait for a guess, a
chapter's buttons and reading time, glossary words that explain themselves, joined words for the search, and the tags
that the preview of a shared link is made from.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from coursekit.course import Course
from coursekit.course_map import minutes
from coursekit.exercises import listing
from coursekit.notebooks import FULL_COURSE, Site
from coursekit.questions.predictions import question_id
from cxrlib.words import t, with_words

# --- buttons


def _add_buttons(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    folder, _, name = pagename.rpartition("/")
    if folder != "chapters" or doctree is None:
        return
    notebook = f"notebooks/{name}.ipynb"
    context["header_buttons"][:0] = [
        {
            "type": "link",
            "url": _site(app).colab(notebook),
            "text": "Colab",
            "icon": "fas fa-rocket",
            "tooltip": t("Open this chapter in Google Colab"),
            "label": "colab-button",
        },
        {
            "type": "group",
            "tooltip": t("Download this chapter"),
            "icon": "fas fa-download",
            "label": "download-buttons",
            "buttons": [
                {
                    "type": "link",
                    "url": context["pathto"](notebook, 1),
                    "text": t("notebook (.ipynb)"),
                    "icon": "fas fa-code",
                    "tooltip": t("Download the notebook"),
                    "label": "download-notebook-button",
                },
                {
                    "type": "javascript",
                    "javascript": "window.print()",
                    "text": t("PDF (print)"),
                    "icon": "fas fa-file-pdf",
                    "tooltip": t("Print the page to PDF"),
                    "label": "download-pdf-button",
                },
            ],
        },
    ]


def _site(app: Sphinx) -> Site:
    return Site.read(Path(app.srcdir) / "_config.yml")


def _without_thebe(app: Sphinx) -> None:
    # Jupyter Book always loads sphinx-thebe: addresses of other hosts and a script error on every page
    for event in ("env-before-read-docs", "doctree-resolved"):
        for listener in list(app.events.listeners[event]):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)


# --- the course's chapters (course.yml)


def _know_course(app: Sphinx, config: Config) -> None:
    config.course = Course.read(Path(app.srcdir))  # pages are read again when it has changed


class ChapterRole(SphinxRole):
    """A chapter by its name: {chapter}`07_grad_cam#how-coarse-is-it` is "chapter 7", {Chapter} "Chapter 7".

    In a course without it: "the chapter *Grad-CAM* of the full course", and no link.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make a link, or words."""
        try:
            text, page = self.config.course.refer(self.text, begins=self.rawtext.startswith(":Chapter:"))
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        words = [
            (nodes.emphasis if k % 2 else nodes.Text)(*[part] * (1 + k % 2)) for k, part in enumerate(text.split("*"))
        ]
        if page is None:
            return words, []
        docname, _, anchor = page.partition("#")
        link = addnodes.pending_xref(
            refdomain="doc",
            reftype="myst",
            reftarget=docname,
            reftargetid=anchor or None,
            refexplicit=True,
            refdoc=self.env.docname,
        )
        link.append(nodes.inline("", "", *words, classes=["xref", "myst"]))
        return [link], []


class Chapters(SphinxDirective):
    """A list, or a table, whose entries link to chapters: what is left are those of the course, in its order."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Leave out, and sort."""
        box = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, box)
        for kind in (nodes.bullet_list, nodes.tbody):
            for entries in box.findall(kind):
                places = [(self.place(entry), entry) for entry in entries]
                entries[:] = [entry for place, entry in sorted(places, key=lambda one: one[0]) if place >= 0]
        return box.children

    def place(self, entry: nodes.Element) -> int:
        """Return the place of an entry: -1 without its chapter, the end for one that names no chapter."""
        course = self.config.course
        links = (link["reftarget"] for link in entry.findall(addnodes.pending_xref) if link.get("refdomain") == "doc")
        name = next((page for page in links if course.knows(page)), "").rpartition("/")[2]
        return len(course.chapters) if not name else course.chapters.index(name) if name in course.chapters else -1


class Plan(SphinxDirective):
    """The weeks of course.yml as a table; nothing where it has none."""

    def run(self) -> list[nodes.Node]:
        """Write it in Markdown."""
        course, box = self.config.course, nodes.container()
        if not course.weeks:
            return []
        exercises = {name.partition("_")[0] for name in course.solution_pages()}
        heads = t("week"), t("chapter"), t("homework"), t("note")
        rows = ["| {} | {} | {} | {} |".format(*heads), "|---|---|---|---|"]
        for number, week in enumerate(course.weeks, 1):
            links = ", ".join(f"[{course.title_of(name)}](/chapters/{name}.md)" for name in week.chapters)
            known = [name.partition("_")[0] for name in week.chapters if name.partition("_")[0] in exercises]
            homework = ", ".join("[" + t("exercise {0}", int(it)) + "](/book/exercises.md)" for it in known)
            note = " ".join(week.note.split()).replace("|", "\\|")
            rows.append(f"| {number} | {links} | {homework} | {note} |")
        self.state.nested_parse(StringList(rows, "course.yml"), self.content_offset, box)
        return [nodes.rubric("", t("Plan")), *box.children]


class Exercises(SphinxDirective):
    """The table of the course's exercises."""

    def run(self) -> list[nodes.Node]:
        """Write it in Markdown."""
        box, rows = nodes.container(), listing(Path(self.env.srcdir), _site(self.env.app)).splitlines()
        self.state.nested_parse(StringList(rows, "solutions"), self.content_offset, box)
        return box.children


def _without_left_out(app: Sphinx, doctree: nodes.document) -> None:
    """Take the links to chapters that the course leaves out, and give the front page the course's title."""
    course = app.config.course
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link.get("refdomain") == "doc" and course.leaves_out(link["reftarget"]):
            link.replace_self([*link[0].children, nodes.Text(FULL_COURSE)])
    if course.title and app.env.docname == app.config.root_doc:
        next(doctree.findall(nodes.title)).children = [nodes.Text(course.title)]


# --- questions


class Predict(SphinxDirective):
    """A question before an experiment: ``:choices: one | another``, or none for an answer in one's own words.

    book/_static/course.js lets what follows wait for the guess. On paper and without scripts the choices are a list.
    """

    has_content = True
    option_spec = {"choices": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Make a box of the question and its choices."""
        self.assert_has_content()
        box = nodes.container(classes=["predict"], ids=[question_id("\n".join(self.content))])
        self.state.nested_parse(self.content, self.content_offset, box)
        if choices := self.options.get("choices"):
            items = [nodes.list_item("", nodes.paragraph(c.strip(), c.strip())) for c in choices.split("|")]
            if len(items) < 2 or not all(item.astext() for item in items):
                raise self.error(f":choices: {choices!r}: give at least two, with | between them")
            box.append(nodes.bullet_list("", *items, bullet="-", classes=["predict-choices"]))
            for item in items:
                self.set_source_info(item[0])  # so that it is translated
        return [box]


def _begin_questions(app: Sphinx, doctree: nodes.document) -> None:
    # now, because a translation has replaced the paragraph
    for box in doctree.findall(nodes.container):
        if "predict" in box["classes"]:
            box[0].insert(0, [nodes.strong("", t("Predict first.")), nodes.Text(" ")])


# --- glossary


def _read_glossary(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Keep each term's definition by its anchor; pages are written again when one has changed."""
    before, env.course_definitions = getattr(env, "course_definitions", {}), {}
    for docname in {place[0] for (kind, _), place in env.domaindata["std"]["objects"].items() if kind == "term"}:
        for glossary in env.get_doctree(docname).findall(addnodes.glossary):
            for entry in glossary.findall(nodes.definition_list_item):
                text = next(entry.findall(nodes.paragraph)).astext().replace("\n", " ")
                for term in entry.findall(nodes.term):
                    env.course_definitions |= dict.fromkeys(term["ids"], text)
    return env.found_docs if env.course_definitions != before else []


def _explain_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give links to the glossary the definition as their title, which book/_static/course.js shows."""
    for link in doctree.findall(nodes.reference):
        if link.children and "std-term" in getattr(link[0], "attributes", {}).get("classes", ()):
            anchor = link.get("refid") or link["refuri"].partition("#")[2]
            link["reftitle"] = app.env.course_definitions[anchor]
            link["classes"].append("glossary-link")


# --- search


def _index_joined(app: Sphinx, doctree: nodes.document) -> None:
    """Let the search find "gradcam" where Grad-CAM stands, and "heatmap" where the glossary has heat map."""
    texts = [text.astext() for text in doctree.findall(nodes.Text)]
    words = {w for text in texts for w in re.findall(r"\b[A-Za-z]+(?:-[A-Za-z]+)+\b", text)}
    words |= {term.astext() for term in doctree.findall(nodes.term) if 1 < len(term.astext().split()) < 4}
    joined = sorted({re.sub(r"[\s-]", "", word).lower() for word in words})
    if joined and app.builder.name != "gettext":  # nothing to translate
        doctree.append(nodes.meta("", name="keywords", content=", ".join(joined)))


# --- reading time


def reading_minutes(doctree: nodes.Element) -> int:
    """Return the minutes to read a page's text and the code of its cells, to the nearest five."""
    words = sum(len(text.astext().split()) for text in doctree.findall(nodes.paragraph))
    lines = sum(
        len(code.astext().splitlines())
        for cell in doctree.findall(nodes.container)
        if "cell_input" in cell["classes"]
        for code in cell.findall(nodes.literal_block)
    )
    return max(5, 5 * round(minutes(words, lines) / 5))


def _add_reading_time(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if not docname.startswith("chapters/"):
        return
    line = t("About {0} minutes to read.", reading_minutes(doctree))
    execution = getattr(app.env, "nb_metadata", {}).get(docname, {}).get("exec_data") or {}
    if seconds := execution.get("runtime"):
        minutes = round(seconds / 60)
        took = [t("less than a minute"), t("one minute")][minutes] if minutes < 2 else t("{0} minutes", minutes)
        line += " " + t("Its code took {0} to run for this book.", took)
    next(doctree.findall(nodes.section)).insert(1, nodes.paragraph("", line, classes=["reading-time"]))


# --- previews of shared links (https://ogp.me)


def _add_social_tags(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None
) -> None:
    if doctree is None:
        return
    site, title = _site(app), app.env.titles[pagename].astext()
    texts = (p.astext() for p in doctree.findall(nodes.paragraph) if "reading-time" not in p["classes"])
    description = textwrap.shorten(next(texts, title), 200, placeholder=" …")
    tags = {
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:title": title,
        "og:description": description,
        "og:url": site.page(pagename),
        "og:image": f"{site.book}/_static/card.png",
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": "A computed chest X-ray with its lesion outlined, beside the title of the course",
    }
    named = {"description": description, "twitter:card": "summary_large_image"}
    context["metatags"] += "".join(
        f'\n<meta {key}="{name}" content="{html.escape(value)}" />'
        for key, values in (("property", tags), ("name", named))
        for name, value in values.items()
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all of it to Sphinx."""
    app.add_directive("predict", Predict)
    app.add_directive("chapters", Chapters)
    app.add_directive("plan", Plan)
    app.add_directive("exercises", Exercises)
    app.add_role("chapter", ChapterRole())
    app.add_config_value("course", None, "env")
    app.connect("config-inited", _know_course)
    app.connect("doctree-read", _begin_questions)
    app.connect("doctree-read", _without_left_out, priority=100)  # before the titles are collected
    app.connect("builder-inited", _without_thebe)
    script = Path(__file__).parents[1].joinpath("_static", "course.js").read_text(encoding="utf-8")
    app.add_js_file(None, body=with_words(script).removesuffix(script))  # for course.js
    app.connect("doctree-read", _index_joined)
    app.connect("env-get-updated", _read_glossary)
    app.connect("doctree-resolved", _explain_terms)
    app.connect("doctree-resolved", _add_reading_time)
    app.connect("html-page-context", _add_social_tags)
    # after sphinx-book-theme, which makes the list at 500 and fills it at 501
    app.connect("html-page-context", _add_buttons, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
