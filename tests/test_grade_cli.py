"""`cxr grade` as a teacher types it."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_grade_hostile import ANSWERS, CHECKS, EXERCISE, submission

from coursekit.grade import Limits
from cxrlib.cli import main


def cxr(*args, ok=True) -> str:
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert (result.exit_code == 0) == ok, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder with one exercise, three submissions, and the shell in it."""
    (tmp_path / "exercises").mkdir()
    (tmp_path / "solutions").mkdir()
    (tmp_path / "exercises" / "00_small.ipynb").write_text(EXERCISE.notebook)
    (tmp_path / "solutions" / "00_small_checks.py").write_text(CHECKS)
    cells = "\n\n".join(f"```{{code-cell}} ipython3\n:answer: {task}\n\n{code}\n```" for task, code in ANSWERS.items())
    (tmp_path / "solutions" / "00_small.md").write_text(
        "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n\n"
        f"# Small\n\n{cells}\n"
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada.ipynb").write_bytes(submission())
    (tmp_path / "in" / "bob.ipynb").write_bytes(submission(total="def total(x):\n    return 0"))
    (tmp_path / "in" / "cleo.ipynb").write_bytes(b"{")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_becomes_grades(sandbox, course):
    text = cxr("grade", "00", "in", "--quiet")
    assert "3 students: 2 graded, 1 unreadable" in text
    with open(course / "graded" / "00_small" / "grades.csv", encoding="utf-8-sig", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert [rows[name]["points"] for name in ("ada", "bob", "cleo")] == ["6", "3", "0"]
    for path in ("summary.html", "feedback/ada.html", "gradescope/bob/results.json", "results/cleo.json", "batch.json"):
        assert (course / "graded" / "00_small" / path).is_file(), path
    assert json.loads((course / "graded/00_small/gradescope/bob/results.json").read_text())["score"] == 3


def test_a_roster_comes_back_with_points_and_names(sandbox, course):
    (course / "class.csv").write_text(
        "id,name,email\nada,Ada Lovelace,a@x.org\nbob,Bob B.,b@x.org\ndan,Dan D.,d@x.org\n"
    )
    text = cxr("grade", "00_small", "in", "--quiet", "--roster", "class.csv", "--out", "out")
    assert "1 missing" in text and "cleo" in text  # who is not in the class list is named
    lines = (course / "out" / "roster.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[1].startswith("ada,Ada Lovelace") and lines[1].endswith(",6") and lines[3].endswith(",")
    assert "Ada Lovelace" in (course / "out" / "feedback" / "ada.html").read_text()


def test_a_second_time_needs_resume(sandbox, course):
    cxr("grade", "00", "in", "--quiet", "--out", "out", "--seed", 3)
    assert "--resume" in cxr("grade", "00", "in", "--quiet", "--out", "out", ok=False)
    assert "seed 3" in cxr("grade", "00", "in", "--quiet", "--out", "out", "--resume", "--seed", 4, ok=False)
    (course / "in" / "dan.ipynb").write_bytes(submission())
    assert "4 students: 3 graded" in cxr("grade", "00", "in", "--quiet", "--out", "out", "--resume")
    (course / "solutions" / "00_small_checks.py").write_text(CHECKS + "\n# changed\n")
    assert "another version" in cxr("grade", "00", "in", "--quiet", "--out", "out", "--resume", ok=False)


def test_a_private_course_goes_before_the_public_one(sandbox, course):
    private = course / "private"
    for folder in ("exercises", "solutions"):
        (private / folder).mkdir(parents=True)
        for path in (course / folder).iterdir():
            (private / folder / path.name).write_text(path.read_text().replace("points=3", "points=30"))
    cxr("grade", "00", "in", "--quiet", "--course", private, "--course", course, "--out", "out")
    assert json.loads((course / "out" / "results" / "ada.json").read_text())["points"] == 33


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["99", "in"], "There are: 00_small"),
        (["00", "nowhere"], "does not exist"),
        (["00", "empty"], "no notebook"),
        (["00", "in", "--course", "empty"], "--course"),
        (["00", "in", "--roster", "bad.csv"], "bad.csv"),
        (["00", "in", "--out", "solutions"], "--out"),
        (["00", "in", "--jobs", "0"], "--jobs"),
        (["00", "in", "--dask", "tcp://127.0.0.1:9"], "dask scheduler"),
    ],
)
def test_errors_name_the_thing_and_the_remedy(sandbox, course, arguments, words):
    (course / "empty").mkdir()
    (course / "bad.csv").write_text("color,shape\nred,round\n")
    assert words.lower() in cxr("grade", *arguments, ok=False).lower()


def test_the_page_for_graders_names_the_memory_that_a_submission_gets():
    page = (Path(__file__).resolve().parents[1] / "book" / "graders.md").read_text(encoding="utf-8")
    assert f"may use {Limits().memory / 1024:g} GB" in page


def test_without_a_sandbox_it_refuses_and_says_how(course, monkeypatch):
    from coursekit.grade import find_sandbox

    monkeypatch.setenv("PATH", str(course))
    find_sandbox.cache_clear()
    try:
        assert "apt install bubblewrap" in cxr("grade", "00", "in", "--quiet", ok=False)
        assert not (course / "graded").exists()
        text = cxr("grade", "00", "in", "--quiet", "--unsafe")
        assert "2 graded" in text and "all your rights" in text
    finally:
        find_sandbox.cache_clear()
