"""An instructor's fork on its first day: its own address and branch, other chapters, a private exercise.

It is made as book/instructors.md says, and then what the workflow runs is run in it: make lint, the tests that know the
course's content, and the book, without executing its chapters.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from coursekit.course import Course
from coursekit.grade import list_exercises

ROOT = Path(__file__).resolve().parents[1]
URL, BRANCH = "https://github.com/Instructor-1/lungs.course", "spring/2027"
HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
CHAPTER = (
    HEADER
    + """\
# Bones

After [another](FIRST), one of our own.

```{code-cell} ipython3
print("bones")
```
"""
)
SOLUTION = (
    HEADER
    + """\
# Exercise 20: bones

```{code-cell} ipython3
import numpy as np
```

```{code-cell} ipython3
:answer: darkest

def darkest(image):
    \"\"\"The darkest pixel.\"\"\"
    ### BEGIN SOLUTION
    return image.min()
    ### END SOLUTION
```

```{code-cell} ipython3
:test: darkest

assert darkest(np.array([[3, 1], [2, 4]])) == 1, "the darkest of 3, 1, 2 and 4 is 1"
```
"""
)
CHECKS = '''\
"""Checks of exercise 20."""

from coursekit.grade.checks import check, close


@check("darkest", points=2)
def smallest_value(student, rng):
    """The smallest pixel value."""
    image = rng.integers(0, 255, (4, 5))
    close(student.darkest(image), image.min(), "the darkest pixel", {"it is the brightest": image.max()})
'''
ANSWERS = '''\
WRONG = {
    "the brightest": {
        "task": "darkest",
        "check": "smallest_value",
        "says": "it is the brightest",
        "code": """
def darkest(image):
    return image.max()
""",
    },
}
CORRECT = {
    "sorted": {
        "task": "darkest",
        "code": """
def darkest(image):
    return sorted(image.ravel())[0]
""",
    },
}
'''
CONTENT = ("address", "book", "course_book", "notebooks", "packaging", "readme", "results", "workflows")


def run(*command, cwd: Path, **environment) -> str:
    """What a command that must succeed prints; modules come from the folder it runs in."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTEST"))}
    env = clean | {"PYTHONPATH": str(ROOT if cwd.name == "private" else cwd), "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def private(tmp_path_factory) -> Path:
    """A folder beside the course with one exercise, its checks and its proof."""
    folder = tmp_path_factory.mktemp("beside") / "private"
    (folder / "solutions").mkdir(parents=True)
    (folder / "tests" / "answers").mkdir(parents=True)
    (folder / "solutions" / "20_bones.md").write_text(SOLUTION)
    (folder / "solutions" / "20_bones_checks.py").write_text(CHECKS)
    (folder / "tests" / "answers" / "20_bones.py").write_text(ANSWERS)
    run(sys.executable, "-m", "coursekit.exercises", "--course", folder, cwd=ROOT)
    return folder


def test_a_private_exercise_has_no_button_that_leads_nowhere(private):
    text = (private / "exercises" / "20_bones.ipynb").read_text()
    first = "".join(json.loads(text)["cells"][0]["source"])
    assert "colab.research" not in text and "Download this notebook" in first


def test_a_folder_without_exercises_is_an_error_and_is_not_made(tmp_path):
    command = [sys.executable, "-m", "coursekit.exercises", "--course", tmp_path / "nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "no exercise in" in done.stderr and not (tmp_path / "nowhere").exists()


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_a_private_exercise_is_proved(sandbox, private, tmp_path, wrong):
    """`make proof COURSE=../private` runs the course's own proof there; a check that finds nothing fails it."""
    course = shutil.copytree(private, tmp_path / "private")
    if wrong:
        checks = course / "solutions" / "20_bones_checks.py"
        checks.write_text(CHECKS.replace("it is the brightest", "no"))
    make = subprocess.run(["make", "-n", "proof", f"COURSE={course}"], cwd=ROOT, capture_output=True, text=True)
    assert f'CXR_COURSE="$(cd "{course}" && pwd)"' in make.stdout and "tests/test_exercises.py" in make.stdout
    proof = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "tests/test_exercises.py",
    ]
    done = subprocess.run(
        proof, cwd=ROOT, env={**os.environ, "CXR_COURSE": str(course)}, capture_output=True, text=True
    )
    assert (done.returncode != 0) == wrong, done.stdout
    assert "passed" in done.stdout and ("1 failed" in done.stdout) == wrong, done.stdout


def copy_of_the_course(folder: Path) -> Path:
    """A copy of what is in the repository."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def commit(folder: Path, branch: str = BRANCH) -> None:
    """Commit all that is in a folder."""
    if not (folder / ".git").exists():
        run("git", "init", "-qb", branch, cwd=folder)
        run("git", "config", "user.name", "i", cwd=folder)
        run("git", "config", "user.email", "i@x", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-qm", "x", cwd=folder)


def make_fork(folder: Path) -> Path:
    """Change a copy of the repository as book/instructors.md says: address, course.yml, a chapter of one's own."""
    (folder / ".venv").symlink_to(ROOT / ".venv")
    first, *names = Course.read(folder).full
    names.remove(names[len(names) // 2])
    (folder / "chapters" / "20_bones.md").write_text(CHAPTER.replace("FIRST", f"{first}.md"))
    (folder / "mine").mkdir()
    (folder / "mine" / "rules.md").write_text("# Rules\n\nAsk before {chapter}`20_bones`.\n")
    own = {"title": "Lungs, 2027", "chapters": ["20_bones", *names, first], "pages": ["mine/rules"]}
    (folder / "course.yml").write_text(yaml.safe_dump({**own, "solutions": "show", "weeks": [first, ["20_bones"]]}))
    run(sys.executable, "-m", "coursekit.address", URL, "--branch", BRANCH, cwd=folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_fork_passes_what_its_workflow_runs(tmp_path):
    fork = make_fork(copy_of_the_course(tmp_path / "fork"))
    commit(fork)
    make = ["make", "-o", ".venv/.installed"]  # what is installed here will do
    run(*make, "lint", cwd=fork)
    tests = " ".join(f"tests/test_{name}.py" for name in CONTENT)
    assert " passed" in run(*make, "test", f"ARGS=-q -p no:cacheprovider {tests}", cwd=fork)
    config = fork / "_config.yml"
    config.write_text(config.read_text().replace("execute_notebooks: cache", 'execute_notebooks: "off"'))
    run(*make, "book", cwd=fork, CXR_FAST="1")
    page = (fork / "_build" / "html" / "chapters" / "20_bones.html").read_text()
    assert (
        "https://colab.research.google.com/github/Instructor-1/lungs.course/blob/spring%2F2027/notebooks/20_bones"
        in page
    )
    assert "OWNER/REPOSITORY" not in page
    assert "Chapter 1</span></a>" not in page and "chapter 1" in (fork / "_build/html/mine/rules.html").read_text()


@pytest.mark.slow
def test_later_fixes_merge_into_a_fork_that_has_chosen(tmp_path):
    """Text, solutions and a chapter that the fork leaves out change; so does every file that is made from them."""
    ours = copy_of_the_course(tmp_path / "ours")
    commit(ours, "main")
    run("git", "clone", "-q", ours, tmp_path / "fork", cwd=tmp_path)
    fork = make_fork(tmp_path / "fork")
    run("git", "config", "user.name", "i", cwd=fork)
    run("git", "config", "user.email", "i@x", cwd=fork)
    commit(fork)
    chosen = (fork / "course.yml").read_text()

    exercise = list_exercises(ours)[0]
    for path in [*ours.glob("chapters/*.md"), ours / "solutions" / f"{exercise}.md"]:
        path.write_text(path.read_text(encoding="utf-8") + "\nMended later.\n", encoding="utf-8")
    (ours / "course.yml").write_text("# Another comment.\nchapters: all\n")
    run(sys.executable, "-m", "coursekit.notebooks", cwd=ours)
    run(sys.executable, "-m", "coursekit.exercises", exercise, cwd=ours)
    commit(ours)
    make = "make -o .venv/.installed"  # the inner one, too, installs nothing
    run(*make.split(), "update", f"FROM={ours}", f"MAKE={make}", cwd=fork)

    assert (fork / "course.yml").read_text() == chosen
    for name in (f"notebooks/{Course.read(fork).full[1]}", "notebooks/20_bones", f"exercises/{exercise}"):
        text = (fork / f"{name}.ipynb").read_text()
        assert "OWNER/REPOSITORY" not in text and "Instructor-1/lungs.course" in text, name
        assert "Mended later." in text or "20" in name, name
    assert not run("git", "status", "--porcelain", cwd=fork)
