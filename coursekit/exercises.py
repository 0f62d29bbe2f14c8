"""Make exercises/*.ipynb, which students get, from solutions/*.md, which teachers edit. Run by `make generated`.

nbgrader makes the release: it removes what is between the solution markers and locks the tests. It works in a folder of
its own, which holds nothing but the notebooks, because it copies every other file of an exercise into the release.
Cell ids are the tasks' names: the same solution always gives the same bytes.

    python -m coursekit.exercises 03_metrics_by_hand    only this one
    python -m coursekit.exercises --course FOLDER       of a private course folder
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import jupytext
import nbformat

from .course import ROOT, Course
from .grade.exercise import check_points, load_exercise
from .notebooks import COLAB_BADGE, Markdown, Site, of_cells, with_bootstrap, write_changed

MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")


def to_source(source: Path, site: Site, *, root: Path = ROOT) -> nbformat.NotebookNode:
    """Return the teacher's notebook of one solution, with the metadata that nbgrader reads.

    Raises ValueError, which names the file and the cell, for an answer without markers or a task without test or check.
    """

    def fail(what: str) -> NoReturn:
        raise ValueError(f"{source.name}: {what}")

    points = check_points(source.stem, source.with_name(f"{source.stem}_checks.py").read_text(encoding="utf-8"))
    text = with_bootstrap(source.read_text(encoding="utf-8"), site)
    markdown = Markdown(source, root, site)
    cells = [nbformat.v4.new_markdown_cell(_badge(source, site, root))]
    answers, tests, given = [], [], 0
    for cell in jupytext.reads(text, fmt="md:myst").cells:
        if cell.cell_type == "markdown":
            if shown := markdown.convert(cell.source):
                cells.append(nbformat.v4.new_markdown_cell(shown))
            continue
        tags = list(cell.metadata.get("tags", ()))
        task = cell.metadata.get("answer") or cell.metadata.get("test")
        marked = all(marker in cell.source for marker in MARKERS)
        new = nbformat.v4.new_code_cell(cell.source, metadata={"tags": tags} if tags else {})
        if "answer" in cell.metadata:
            if not marked or f"def {task}(" not in cell.source:
                fail(f"the answer cell {task!r} needs `def {task}(` and the lines {' and '.join(MARKERS)}")
            answers.append(task)
            grading = {"grade_id": task, "solution": True, "grade": False, "locked": False}
        elif "test" in cell.metadata:
            if task not in points:
                fail(f"the task {task!r} has a test but no check in {source.stem}_checks.py")
            tests.append(task)
            grading = {"grade_id": f"test_{task}", "solution": False, "grade": True, "locked": True}
            grading["points"] = points[task]
        else:
            if marked:
                fail(f"a solution outside of an answer cell: {cell.source[:60]!r}")
            given += 1
            grading = {"grade_id": f"given_{given}", "solution": False, "grade": False, "locked": True}
        new.metadata["nbgrader"] = {"schema_version": 3, "task": False, **grading}
        cells.append(new)
    if answers != tests or len(set(answers)) != len(answers):
        fail(f"every answer needs one test after it; answers: {', '.join(answers)}; tests: {', '.join(tests)}")
    for number, cell in enumerate(cells):
        cell["id"] = cell.metadata.get("nbgrader", {}).get("grade_id", f"text_{number}")[:64]
    return of_cells(cells)


def _badge(source: Path, site: Site, root: Path) -> str:
    if not (root / "_config.yml").is_file():  # a private course folder is at no public address
        return "*Download this notebook and open it in Jupyter, or upload it to Colab.*"
    badge = f"{COLAB_BADGE}({site.colab(f'exercises/{source.stem}.ipynb')})"
    chapter = Course.read(root).chapter_of(source.stem)
    return f"{badge}\n\n*[Read the chapter in the book]({site.page(f'chapters/{chapter}')}).*" if chapter else badge


def release(notebooks: dict[str, nbformat.NotebookNode]) -> dict[str, str]:
    """Return name -> JSON text of the students' version, made by `nbgrader generate_assignment`."""
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

    # nbgrader starts alembic by its bare name, which is beside this interpreter but perhaps not on the path
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        config = Config()
        config.CourseDirectory.root = folder
        config.IncludeHeaderFooter.header = ""
        source, target = (Path(folder) / name / "all" for name in ("source", "release"))
        source.mkdir(parents=True)
        for name, notebook in notebooks.items():
            nbformat.write(notebook, source / f"{name}.ipynb")
        done = NbGraderAPI(config=config).generate_assignment("all")  # one for all: each has a start of its own
        if not done["success"]:
            told = f"{done.get('log', '')}{done.get('error', '')}"
            raise ValueError(f"nbgrader could not make the students' versions\n{told}")
        read = {name: nbformat.read(target / f"{name}.ipynb", as_version=4) for name in notebooks}
        return {name: nbformat.writes(notebook) + "\n" for name, notebook in read.items()}


def make_all(course: Path, site: Site, *, target: Path | None = None, only: list[str] | None = None) -> list[Path]:
    """Write the students' version of the solutions of a course folder, and remove those whose solution is gone.

    They go to ``target`` (default: exercises/ in the course folder); ``only`` names exercises (default: all). Raises
    FileNotFoundError without any solution, ValueError where one is not complete, or has what Colab cannot show.
    """
    target = target or course / "exercises"
    sources = {path.stem: path for path in sorted((course / "solutions").glob("[0-9]*.md"))}
    if not sources:
        raise FileNotFoundError(
            f"no exercise in {course / 'solutions'}: it should hold NN_topic.md and NN_topic_checks.py"
        )
    if unknown := set(only or ()) - sources.keys():
        raise ValueError(f"no solution {', '.join(sorted(unknown))} in {course / 'solutions'}")
    made = release(
        {name: to_source(path, site, root=course) for name, path in sources.items() if name in (only or sources)}
    )
    target.mkdir(parents=True, exist_ok=True)
    for stale in (path for path in list(target.glob("*.ipynb")) if path.stem not in sources):
        stale.unlink()
    for name, text in made.items():
        write_changed(target / f"{name}.ipynb", text)
    return [target / f"{name}.ipynb" for name in made]


def listing(course: Path, site: Site) -> str:
    """Return the table of the course's exercises for the book: what is written in each, points, and how to open it."""
    rows = ["| exercise | what you write | points | |", "|---|---|---|---|"]
    chosen = Course.read(course)
    for name in chosen.solution_pages():
        exercise = load_exercise(name, course)
        chapter = chosen.chapter_of(name)
        title = f"[{exercise.title}](../chapters/{chapter}.md)" if chapter else exercise.title
        tasks = ", ".join(f"`{task}`" for task in exercise.tasks)
        rows.append(
            f"| {title} | {tasks} | {exercise.max_points:g} | [Colab]"
            f"({site.colab(f'exercises/{name}.ipynb')}), {{download}}`file <../exercises/{name}.ipynb>` |"
        )
    return "\n".join(rows)


def main() -> int:
    """Make the exercises of a course folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--course", type=Path, default=ROOT, help="folder with solutions/ [default: this repository]")
    parser.add_argument("names", nargs="*", help="only these exercises [default: all]")
    asked = parser.parse_args()
    course = asked.course.resolve()
    logging.disable(logging.WARNING)
    try:
        made = make_all(course, Site.read(), only=asked.names)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(made)} exercises in {course.name}/exercises/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
