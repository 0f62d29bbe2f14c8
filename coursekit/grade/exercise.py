"""An exercise as the grader sees it: the released notebook, the checks, and the reference answers."""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..course import title_in


@dataclass(frozen=True)
class Cell:
    """A code cell.

    kind: "given" (runs when grading), "demo" (does not), "answer", "test", or "own" (the student's). tasks: which tasks
    it answers, or tests.
    """

    kind: str
    tasks: tuple[str, ...]
    source: str
    grade_id: str = ""
    id: str = ""

    @property
    def task(self) -> str:
        """The task of a released cell; "" where it has none."""
        return self.tasks[0] if self.tasks else ""


@dataclass(frozen=True)
class Check:
    """A trusted check: `function(student, rng)` raises AssertionError with the mistake's name."""

    name: str
    task: str
    points: float
    title: str
    function: Callable


@dataclass(frozen=True)
class Exercise:
    """An exercise as plain texts, so that it can be sent to another machine.

    notebook: the released notebook (JSON). checks_source: the checks file. reference: (task, its answer cell) pairs.
    """

    name: str
    title: str
    notebook: str
    checks_source: str
    reference: tuple[tuple[str, str], ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The code cells of the released notebook, in order."""
        return _cells(self.notebook)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks, in order."""
        return tuple(cell.task for cell in self.cells if cell.kind == "answer")

    @property
    def given(self) -> tuple[str, ...]:
        """The sources of the given cells, which are no answers and no tests."""
        return tuple(cell.source for cell in self.cells if cell.kind == "given")

    @property
    def checks(self) -> tuple[Check, ...]:
        """The trusted checks, in order."""
        return _checks(self.name, self.checks_source)

    @property
    def libraries(self) -> tuple[str, ...]:
        """The only libraries that answers should use (LIBRARIES in the checks file); none named: any."""
        return tuple(getattr(_module(self.name, self.checks_source), "LIBRARIES", ()))

    @property
    def max_points(self) -> float:
        """The points of all checks together."""
        return sum(check.points for check in self.checks)

    @property
    def digest(self) -> str:
        """Changes when the notebook or the checks change."""
        return hashlib.sha256(f"{self.notebook}\0{self.checks_source}".encode()).hexdigest()

    def with_answers(self, answers: dict[str, str]) -> bytes:
        """Return the released notebook with some answer cells filled in, as a student would hand it in."""
        notebook = json.loads(self.notebook)
        for cell in notebook["cells"]:
            task = cell.get("metadata", {}).get("nbgrader", {})
            if task.get("solution") and task["grade_id"] in answers:
                cell["source"] = answers[task["grade_id"]]
        return json.dumps(notebook).encode()


def list_exercises(*folders: Path) -> list[str]:
    """Names of the exercises in these course folders."""
    return sorted({path.stem for folder in folders for path in Path(folder).glob("exercises/*.ipynb")})


def load_exercise(name: str, *folders: Path) -> Exercise:
    """Return the exercise `name` from the first course folder that has it: a private overlay goes first.

    A course folder holds exercises/NAME.ipynb, solutions/NAME.md and solutions/NAME_checks.py. `name` may be a unique
    beginning, such as "03". Raises FileNotFoundError with the names there are.
    """
    folders = tuple(Path(folder) for folder in folders) or (Path("."),)
    names = list_exercises(*folders)
    name = Path(name).stem if name.endswith(".ipynb") else name
    fitting = [name] if name in names else [other for other in names if other.startswith(name)]
    if len(fitting) != 1:
        where = ", ".join(f"'{folder.resolve()}'" for folder in folders)
        known = f"There are: {', '.join(names)}" if names else "There are none; name the course's folder with --course"
        raise FileNotFoundError(f"no {'single ' if fitting else ''}exercise {name!r} in {where}. {known}.")
    name = fitting[0]
    released, folder = next((file, it) for it in folders if (file := it / "exercises" / f"{name}.ipynb").is_file())
    checks, solution = folder / "solutions" / f"{name}_checks.py", folder / "solutions" / f"{name}.md"
    for path in (checks, solution):
        if not path.is_file():
            raise FileNotFoundError(f"the exercise {name} has no {path}: a grader needs it")
    notebook, source, answers = (path.read_text(encoding="utf-8") for path in (released, checks, solution))
    prose = ["".join(cell["source"]) for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "markdown"]
    exercise = Exercise(name, title_in("\n".join(prose)), notebook, source, tuple(read_solution(answers).items()))
    if missing := [task for task in exercise.tasks if task not in dict(exercise.reference)]:
        raise ValueError(f"{solution} has no answer for {', '.join(missing)}: run `make generated`")
    if strange := [check.name for check in exercise.checks if check.task not in exercise.tasks]:
        raise ValueError(f"{checks}: {', '.join(strange)} check a task that the notebook does not have")
    if unchecked := [task for task in exercise.tasks if task not in check_points(name, source)]:
        raise ValueError(f"{checks} has no check of {', '.join(unchecked)}")
    return exercise


def read_solution(text: str) -> dict[str, str]:
    """Task -> source of its answer cell, from the text of solutions/NAME.md."""
    import jupytext

    cells = jupytext.reads(text, fmt="md:myst").cells
    return {cell.metadata["answer"]: cell.source for cell in cells if "answer" in cell.metadata}


@lru_cache(maxsize=32)
def _cells(notebook: str) -> tuple[Cell, ...]:
    cells = []
    for cell in json.loads(notebook)["cells"]:
        if cell["cell_type"] != "code":
            continue
        metadata, source = cell["metadata"], "".join(cell["source"])
        grading, tags = metadata.get("nbgrader", {}), metadata.get("tags", [])
        grade_id = grading.get("grade_id", "")
        if grading.get("solution"):
            cells.append(Cell("answer", (grade_id,), source, grade_id, cell["id"]))
        elif grading.get("grade"):
            cells.append(Cell("test", (grade_id.removeprefix("test_"),), source, grade_id, cell["id"]))
        else:
            kind = "demo" if "demo" in tags or "bootstrap" in tags else "given"
            cells.append(Cell(kind, (), source, grade_id, cell["id"]))
    return tuple(cells)


@lru_cache(maxsize=32)
def _module(name: str, source: str) -> types.ModuleType:
    module = types.ModuleType(f"{name}_checks")
    exec(compile(source, f"{name}_checks.py", "exec"), module.__dict__)
    return module


@lru_cache(maxsize=32)
def _checks(name: str, source: str) -> tuple[Check, ...]:
    found = [
        Check(key, value.check_of, value.check_points, value.__doc__.strip().splitlines()[0], value)
        for key, value in vars(_module(name, source)).items()
        if hasattr(value, "check_of")
    ]
    if not found:
        raise ValueError(f"{name}_checks.py has no function marked with @check(task)")
    return tuple(found)


def check_points(name: str, source: str) -> dict[str, float]:
    """Task -> points of all its checks, from the text of a checks file."""
    points: dict[str, float] = {}
    for check in _checks(name, source):
        points[check.task] = points.get(check.task, 0) + check.points
    return points
