"""nbgrader, Gradescope and continuous integrations: what they take is made and used here as they use it."""

import csv
import json
import os
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from coursekit.grade import load_exercise
from coursekit.notebooks import Site
from coursekit.platforms import FOLDER, autograder_zip, nbgrader_course
from cxrlib.cli import main

ROOT = Path(__file__).resolve().parents[1]
NAME = "03_metrics_by_hand"


def nbgrader(course: Path, *args: str) -> None:
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "nbgrader", *args]
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nbgrader_takes_the_course_folder_from_release_to_grades(tmp_path):
    course = tmp_path / "course"
    assert len(nbgrader_course(course, ROOT, Site.read())) == len(list((ROOT / "exercises").glob("*.ipynb")))
    nbgrader(course, "generate_assignment", NAME)
    released = json.loads((course / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    assert released == json.loads((ROOT / "exercises" / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    exercise = load_exercise(NAME, ROOT)
    for student, data in (
        ("reference", exercise.with_answers(dict(exercise.reference))),
        ("untouched", exercise.notebook.encode()),
    ):
        place = course / "submitted" / student / NAME
        place.mkdir(parents=True)
        (place / f"{NAME}.ipynb").write_bytes(data)
    nbgrader(course, "autograde", NAME, "--create")
    nbgrader(course, "generate_feedback", NAME)
    nbgrader(course, "export")
    with open(course / "grades.csv", newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {"reference": exercise.max_points, "untouched": 0}
    assert (course / "feedback" / "reference" / NAME / f"{NAME}.html").is_file()


def test_a_folder_that_holds_something_else_is_no_course_folder(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="name another folder"):
        nbgrader_course(tmp_path, ROOT, Site.read())


def test_the_autograder_zip_holds_what_it_runs(tmp_path):
    made = autograder_zip("03", tmp_path / "03.zip", ROOT)
    with zipfile.ZipFile(made) as archive:
        names = set(archive.namelist())
        assert archive.read("exercise") == NAME.encode()
        modes = {name: archive.getinfo(name).external_attr >> 16 for name in ("setup.sh", "run_autograder")}
    assert all(mode & stat.S_IXUSR for mode in modes.values())
    for needed in ("Makefile", f"exercises/{NAME}.ipynb", f"solutions/{NAME}_checks.py", "coursekit/grade/verdict.py"):
        assert f"course/{needed}" in names
    assert not any(name.startswith("course/results/") for name in names)
    for folder in ("", "coursekit/"):  # hatchling builds nothing where a file is missing that pyproject.toml names
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        for named in [*filter(None, [project.get("readme")]), *project.get("license-files", [])]:
            assert f"course/{folder}{named}" in names
    for script in ("setup.sh", "run_autograder"):
        assert subprocess.run(["bash", "-n", FOLDER / script]).returncode == 0


def test_one_notebook_in_a_continuous_integration(sandbox, tmp_path, monkeypatch):
    exercise, page = load_exercise(NAME, ROOT), tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    answers = dict(exercise.reference)
    full = int(exercise.max_points)
    for changed, code, points in (({}, 0, full), ({"auc": "def auc(a, b):\n    return 0.5  # `x` <b>"}, 1, full - 4)):
        (tmp_path / "a.ipynb").write_bytes(exercise.with_answers({**answers, **changed}))
        done = CliRunner().invoke(main, ["grade", "03", str(tmp_path / "a.ipynb"), "--course", str(ROOT), "--json"])
        assert done.exit_code == code, done.output
        result = json.loads(done.stdout)
        assert result["points"] == points and "answers" not in result and "detail" not in done.stdout
    text = page.read_text(encoding="utf-8")
    assert f"{full} of {full} points" in text and f"{full - 4} of {full} points" in text and "| auc | 0 / 4 |" in text


def test_the_workflow_for_classrooms_is_one():
    workflow = yaml.safe_load((FOLDER / "classroom.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["grade"]["steps"]
    assert "--json" in steps[-1]["run"] and "bubblewrap" in str(steps)
    assert workflow["env"]["TORCH_INDEX"] == "${{ vars.TORCH_INDEX }}"  # the index is the instructor's choice
