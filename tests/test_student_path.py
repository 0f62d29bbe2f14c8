"""The way of an exercise: through a student's Jupyter, into a zip, graded, read; and through stock nbgrader."""

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from jupyter_lab import open_notebook, serve

from coursekit.grade import list_exercises, load_exercise
from cxrlib.cli import main

pytestmark = [pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[1]
NAME = list_exercises(ROOT)[0]


def run_cell(page, words: str, new: str | None = None):
    """Run the code cell in which the words stand, after its text was replaced by `new`; returns its output area."""
    index = page.evaluate(
        """words => {
        const notebook = window.jupyterapp.shell.currentWidget.content;
        const index = notebook.widgets.findIndex(
            cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().includes(words));
        notebook.activeCellIndex = index;
        notebook.scrollToItem(index);
        return index; }""",
        words,
    )
    assert index >= 0, words
    cell = page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{index}"]')
    if new is not None:
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.keyboard.insert_text(new)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
    page.wait_for_function(
        """index => {
        const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
        return cell.promptNode.textContent.match(/\\d/) }""",
        arg=index,
    )
    return cell.locator(".jp-Cell-outputArea")


@pytest.mark.browser
def test_a_student_answers_hands_in_and_reads_the_feedback(sandbox, chromium, tmp_path):
    exercise = load_exercise(NAME, ROOT)
    task = exercise.tasks[0]
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "exercises" / f"{NAME}.ipynb", home)
    with serve(home) as address:
        page = chromium.new_page(viewport={"width": 1200, "height": 1200})
        page.set_default_timeout(60_000)
        open_notebook(page, address, f"{NAME}.ipynb")
        run_cell(page, exercise.cells[1].source.split("\n")[0])
        test = next(cell for cell in exercise.cells if cell.kind == "test" and cell.task == task)
        words = test.source.split("\n")[0]
        run_cell(page, f"def {task}(")
        assert "NotImplementedError" in run_cell(page, words).inner_text()
        run_cell(page, f"def {task}(", dict(exercise.reference)[task])
        passed = run_cell(page, words)
        assert "Error" not in passed.inner_text() and passed.inner_text().strip()
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
        page.close()

    archive = tmp_path / "submissions.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.write(home / f"{NAME}.ipynb", f"lovelaceada_4711_815_{NAME}.ipynb")
        out.writestr(f"hopper_grace_4712_816_{NAME}.ipynb".replace("hopper_", "hopper"), exercise.notebook)
    (tmp_path / "gradebook.csv").write_text(
        f"Student,ID,SIS User ID,SIS Login ID,Section,{NAME} (9001)\n    Points Possible,,,,,20\n"
        '"Lovelace, Ada",4711,s1,ada,A,\n"Hopper, Grace",4712,s2,grace,A,\n"Turing, Alan",4713,s3,alan,A,\n'
    )
    result = CliRunner().invoke(
        main,
        [
            "grade",
            NAME,
            str(archive),
            "--course",
            str(ROOT),
            "--out",
            str(tmp_path / "graded"),
            "--quiet",
            "--roster",
            str(tmp_path / "gradebook.csv"),
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    assert "3 students" in result.output and "1 missing" in result.output

    results = {
        r["ids"].get("canvas_id", r["student"]): r
        for r in map(lambda path: json.loads(path.read_text()), (tmp_path / "graded" / "results").glob("*.json"))
    }
    ada, grace = results["4711"], results["4712"]
    assert [t["points"] == t["max_points"] for t in ada["tasks"]] == [True] + [False] * (len(exercise.tasks) - 1)
    assert grace["points"] == 0 and ada["status"] == "graded"
    filled = (tmp_path / "graded" / "roster.csv").read_text()
    assert f"{ada['points']:g}" in next(line for line in filled.splitlines() if "Ada" in line)

    asked = []
    for width, scheme in ((1000, "light"), (360, "dark")):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        for path in (tmp_path / "graded" / "feedback" / f"{ada['key']}.html", tmp_path / "graded" / "summary.html"):
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: pytest.fail(message.text))
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=Path(folder) / f"{path.parent.name}-{path.stem}-{width}.png", full_page=True)
            text = page.inner_text("body")
            assert f"{ada['points']:g}" in text and task in text
            assert "Traceback" not in text and "rng." not in text
        context.close()
    assert all(url.startswith("file:") for url in asked)


@pytest.mark.parametrize("name", list_exercises(ROOT))
def test_stock_nbgrader_gives_the_reference_full_marks(name, tmp_path, monkeypatch):
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

    exercise = load_exercise(name, ROOT)
    for kind, data in (
        ("release", exercise.notebook.encode()),
        ("submitted/ada", exercise.with_answers(dict(exercise.reference))),
    ):
        place = tmp_path / kind / name / f"{name}.ipynb"
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
    source = tmp_path / "source" / name / f"{name}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(exercise.notebook, encoding="utf-8")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.ExecutePreprocessor.timeout = 300
    api = NbGraderAPI(config=config)
    made = api.generate_assignment(name)
    assert made["success"], made.get("log")
    done = api.autograde(name, "ada")
    assert done["success"], done.get("error") or done.get("log")
    with api.gradebook as gradebook:
        submission = gradebook.find_submission(name, "ada")
        assert submission.score == submission.max_score == exercise.max_points
