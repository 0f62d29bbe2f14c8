"""The map of the course: objective, where it is read, what is written and checked for it, what is asked.

`questions/map.yml` names them; the page `book/map.md` is filled with them when the book is built, for the chapters that
the course has, with the machine's times of that build. A Sphinx extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .course import ROOT, Course
from .grade.exercise import Exercise, list_exercises, load_exercise
from .questions.predictions import CELL, without_comments

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Technical text in a second language, with code that is followed line by line; a question of a quiz.
WORDS_A_MINUTE, CODE_LINES_A_MINUTE, MINUTES_A_QUESTION = 150, 12, 1.5
TABLE = """\
:::{list-table}
:header-rows: 1
:widths: 21 24 32 23
:class: course-map

* - After it you can
  - read
  - write, and what is checked
  - answer"""
MARK = "% map"  # the line of the page that the tables replace
NOT_SHOWN = ("remove-cell", "remove-input")


@dataclass(frozen=True)
class Section:
    """A section of a chapter: its heading, where a link finds it, and the numbers of its code cells in the chapter.

    ``minutes`` is the time to read it, estimated.
    """

    title: str
    anchor: str
    minutes: float
    cells: tuple[int, ...]


@dataclass(frozen=True)
class Goal:
    """An objective of a chapter, with the names of what serves it."""

    objective: str
    sections: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


def minutes(words: int, lines: int) -> float:
    """Return the minutes to read so many words of text and lines of code."""
    return words / WORDS_A_MINUTE + lines / CODE_LINES_A_MINUTE


def sections(chapter: Path) -> list[Section]:
    """Read the sections of a chapter; one of the second level ends where its first subsection begins."""
    text, found, number = chapter.read_text(encoding="utf-8"), [], 0
    for part in re.split(r"^(?=##+ )", without_comments(text), flags=re.M):
        cells = list(CELL.finditer(part))
        lines = sum(len(cell[2].strip().splitlines()) for cell in cells if not any(t in cell[1] for t in NOT_SHOWN))
        heading = re.match(r"##+ (.+)", part)
        if heading:
            time = minutes(len(CELL.sub("", part).split()), lines)
            anchor = re.sub(r"[^\w\- ]", "", heading[1].strip().lower().replace(" ", "-"))
            found.append(Section(heading[1].strip(), anchor, time, tuple(range(number, number + len(cells)))))
        number += len(cells)
    return found


def appendix_sections(chapter: Path) -> dict[str, tuple[Path, Section]]:
    """Return the sections of the pages beside a chapter that have no number, as marks name them: `page#Title`."""
    pages = sorted(chapter.parent.glob("[!0-9]*.md"))
    return {f"{page.stem}#{section.title}": (page, section) for page in pages for section in sections(page)}


def objectives(chapter: Path) -> list[str]:
    """Return the objectives at the top of a chapter."""
    found = re.search(r"^After it you can\n\n(.*?)\n\n", chapter.read_text(encoding="utf-8"), re.M | re.S)
    points = re.split(r"^- ", found[1], flags=re.M)[1:] if found else []
    return [" ".join(point.split()).rstrip(",.") for point in points]


def questions(chapter: Path, root: Path = ROOT) -> list[str]:
    """Return the titles of the questions in a chapter's bank."""
    bank = root / "questions" / chapter.name
    return re.findall(r"^Title: (.+)$", bank.read_text(encoding="utf-8"), re.M) if bank.is_file() else []


def exercise(chapter: Path, root: Path = ROOT) -> Exercise | None:
    """Return the exercise that has the chapter's number."""
    names = [name for name in list_exercises(root) if name.partition("_")[0] == chapter.stem.partition("_")[0]]
    return load_exercise(names[0], root) if names else None


def marks(root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """Read `questions/map.yml`: chapter -> how an objective begins -> kind -> names."""
    path = root / "questions" / "map.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def goals(chapter: Path, root: Path = ROOT) -> list[Goal]:
    """Return a chapter's objectives, in its order, with what the marks name for them."""
    marked = marks(root).get(chapter.stem, {})
    found = []
    for objective in objectives(chapter):
        served = next((served for start, served in marked.items() if objective.startswith(start)), {})
        kinds = {kind: tuple(served.get(kind, ())) for kind in ("sections", "tasks", "questions")}
        found.append(Goal(objective, **kinds))
    return found


def out_of_date(chapter: Path, root: Path = ROOT) -> Iterator[str]:
    """Say what the marks of a chapter name that is not there, and what no objective has or is served by."""
    served, own = goals(chapter, root), exercise(chapter, root)
    there = {
        "sections": [*(section.title for section in sections(chapter)), *appendix_sections(chapter)],
        "tasks": own.tasks if own else (),
        "questions": questions(chapter, root),
    }
    for start in marks(root).get(chapter.stem, {}):
        if not any(goal.objective.startswith(start) for goal in served):
            yield f"no objective begins with {start!r}"
    for goal in served:
        if not goal.sections:
            yield f"no section for {goal.objective!r}"
        if not goal.tasks and not goal.questions:
            yield f"no task and no question for {goal.objective!r}"
        for kind, names in there.items():
            yield from (
                f"there is nothing called {one!r} among the {kind}" for one in getattr(goal, kind) if one not in names
            )
    for kind in ("tasks", "questions"):
        named = {name for goal in served for name in getattr(goal, kind)}
        yield from (f"no objective has {name!r} of the {kind}" for name in there[kind] if name not in named)


def table(chapter: Path, title: str, seconds: list[float] | None, root: Path = ROOT) -> str:
    """Return the part of the page about one chapter, as Markdown, below a heading.

    ``seconds`` is what each code cell of the chapter took; None where that was not measured.
    """
    parts, elsewhere = {section.title: section for section in sections(chapter)}, appendix_sections(chapter)
    own, asked = exercise(chapter, root), questions(chapter, root)
    read = sum(section.minutes for section in parts.values())
    times = [f"reading {read:.0f} min"]
    times += [f"the machine {sum(seconds):.0f} s (measured)"] if seconds else []
    said = own and re.search(r"[Aa]bout (\d+) minutes", own.notebook)
    times += [f"the exercise {said[1]} min"] if said else []
    times += [f"questions ({len(asked)}) {len(asked) * MINUTES_A_QUESTION:.0f} min"] if asked else []
    checks = {task: [check.title for check in own.checks if check.task == task] for task in (own.tasks if own else ())}

    def where(name: str) -> str:
        if name in elsewhere:  # the role knows whether the course has the page
            page, section = elsewhere[name]
            at = f"{{chapter}}`{page.stem}#{section.anchor}`"
            return f"{section.title} ({at}) {max(1, round(section.minutes))}\u00a0min"
        section = parts[name]
        took = f", {sum(seconds[i] for i in section.cells):.1f}\u00a0s" if seconds and section.cells else ""
        link = f"[{name}](../chapters/{chapter.stem}.md#{section.anchor})"
        return f"{link} {max(1, round(section.minutes))}\u00a0min{took}"

    lines = []
    for goal in goals(chapter, root):
        lines.append(f"* - {goal.objective}")
        lines += _column([where(name) for name in goal.sections])
        lines += _column([f"`{task}`: {' '.join(checks[task])}" for task in goal.tasks])
        lines += _column(list(goal.questions))
    return "\n".join([f"## {title}", "", f"{'; '.join(times).capitalize()}.", "", TABLE, *lines, ":::", ""])


def _column(items: list[str]) -> list[str]:
    """Return the lines of a cell that holds a list."""
    return [f"{'    ' if number else '  - '}- {item}" for number, item in enumerate(items)] or ["  -"]


def cell_seconds(chapter: Path, cache_folder: Path) -> list[float] | None:
    """Return what each code cell took in the build that filled the cache; none where it does not know."""
    from jupyter_cache import get_cache

    if not cache_folder.is_dir():
        return None
    cached = get_cache(cache_folder).get_cached_project_nb(str(chapter))
    return (cached.data or {}).get("cell_seconds") if cached else None


def page(course: Course, cache_folder: Path) -> str:
    """Return the tables of all numbered chapters of a course that have marks."""
    marked, parts = marks(course.root), []
    for number, name in enumerate(course.numbered, 1):
        if name in marked:
            chapter, title = course.root / "chapters" / f"{name}.md", f"{number}. {course.title_of(name)}"
            parts.append(table(chapter, title, cell_seconds(chapter, cache_folder), course.root))
    return "\n".join(parts)


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == "book/map":
        tables = page(Course.read(Path(app.srcdir)), Path(app.outdir).parent / ".jupyter_cache")
        source[0] = re.sub(rf"^{MARK}$", lambda _: tables, source[0], flags=re.M)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect it to Sphinx; the page is read anew in each build, since it follows from many files."""
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", lambda app, env, *_: ["book/map"] if "book/map" in env.found_docs else [])
    return {"parallel_read_safe": True, "parallel_write_safe": True}
