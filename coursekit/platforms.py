"""What other platforms of teachers take: an nbgrader course folder, and an autograder zip for Gradescope.

python -m coursekit.platforms nbgrader nbgrader                        a course folder with source notebooks
python -m coursekit.platforms autograder 03_metrics_by_hand 03.zip     a zip that runs our grader
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat

from .course import ROOT, Course
from .exercises import to_source
from .grade import load_exercise
from .notebooks import Site

CONFIG = """# Made by coursekit. `nbgrader generate_assignment NN_topic` in this folder makes what exercises/ has.
c = get_config()
c.CourseDirectory.course_id = "cxr"
c.IncludeHeaderFooter.header = ""
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\\nraise NotImplementedError()"}
c.ExecutePreprocessor.timeout = 300
"""
#: How the paths begin of what the zip for Gradescope holds: the course, and what its set-up reads; pyproject.toml names
#: the last two, and nothing installs without them.
NEEDED = ("cxrlib/", "coursekit/", "exercises/", "solutions/")
NEEDED += ("Makefile", "pyproject.toml", "constraints.txt", "requirements", "README.md", "LICENSE")
FOLDER = Path(__file__).parent / "autograder"


def nbgrader_course(target: Path, course: Path = ROOT, site: Site | None = None) -> list[Path]:
    """Write an nbgrader course folder: source notebooks with solution markers, which it returns, and a configuration.

    ``course`` holds solutions/. Raises ValueError where ``target`` is neither empty nor such a folder already.
    """
    target = target.resolve()
    if target.exists() and any(target.iterdir()) and not (target / "nbgrader_config.py").is_file():
        raise ValueError(f"{target} is not empty and no nbgrader course: name another folder")
    target.mkdir(parents=True, exist_ok=True)
    (target / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    made = []
    for name in Course.read(course).solution_pages():
        solution = course / "solutions" / f"{name}.md"
        place = target / "source" / solution.stem / f"{solution.stem}.ipynb"
        place.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(to_source(solution, site or Site.read(), root=course), place)
        made.append(place)
    return made


def autograder_zip(exercise: str, target: Path, course: Path = ROOT) -> Path:
    """Write the zip that Gradescope takes as an autograder; it holds the course, so the checks, too.

    Raises FileNotFoundError for an exercise that is not there, ValueError where the course is not a git repository.
    """
    name = load_exercise(exercise, course).name
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=course, capture_output=True, text=True)
    files = [file for file in listed.stdout.split("\0") if file.startswith(NEEDED)]
    if listed.returncode or not files:
        raise ValueError(f"{course} is not a git repository: the zip holds the files that git knows")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for script in ("setup.sh", "run_autograder"):
            info = zipfile.ZipInfo(script)
            info.external_attr = 0o755 << 16
            archive.writestr(info, (FOLDER / script).read_bytes())
        archive.writestr("exercise", name)
        for file in files:
            archive.write(course / file, f"course/{file}")
    return target


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    nbgrader = kinds.add_parser("nbgrader", help="a course folder for nbgrader")
    nbgrader.add_argument("target", type=Path)
    gradescope = kinds.add_parser("autograder", help="an autograder zip for Gradescope")
    gradescope.add_argument("exercise")
    gradescope.add_argument("target", type=Path)
    for one in (nbgrader, gradescope):
        one.add_argument("--course", type=Path, default=ROOT, help="folder with solutions/ [default: this repository]")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    try:
        if asked.kind == "nbgrader":
            made = nbgrader_course(asked.target, asked.course.resolve())
            print(f"{len(made)} assignments in {asked.target}; there, `nbgrader generate_assignment NN_topic` goes on")
        else:
            print(f"wrote {autograder_zip(asked.exercise, asked.target, asked.course.resolve())}; keep it to yourself")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
