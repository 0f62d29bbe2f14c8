"""Judge one submission: run it in the sandbox, check its functions' values outside."""

from __future__ import annotations

import hashlib
import sys
import time

import numpy as np

from .exercise import Cell, Exercise
from .inside import codec
from .sandbox import Limits, SandboxFailed, Session, Stopped, StudentError, find_sandbox
from .splice import Spliced, Unreadable, _plain, splice

MAX_MESSAGE = 500  # characters of a check's message: it may quote numbers, but not room for all that came in
NOT_YET = "not attempted yet: the answer cell is still the one that was handed out"


def judge(
    exercise: Exercise, data: bytes, *, seed: int = 0, limits: Limits | None = None, unsafe: bool = False
) -> dict:
    """The result of one submission as a JSON-ready dictionary; the same bytes and seed give the same result.

    data: the notebook's bytes. seed: of the inputs that the checks draw. unsafe: without a sandbox.
    Raises SandboxMissing; whatever the submission does becomes part of the result.
    """
    sandbox = None if unsafe else find_sandbox()
    result = {
        "exercise": exercise.name,
        "digest": hashlib.sha256(data).hexdigest(),
        "status": "graded",
        "review": [],
        "points": 0.0,
        "max_points": exercise.max_points,
        "tasks": [],
        "notes": [],
        "printed": "",
        "answers": {},
    }
    try:
        spliced = splice(exercise, data)
    except Unreadable as error:
        return {
            **result,
            "status": "unreadable",
            "review": [str(error)],
            "tasks": _untouched(exercise, "absent", str(error)),
        }
    with _Student(exercise, spliced, sandbox, limits or Limits()) as student:
        student.begin()
        outcomes = {check.name: _outcome(exercise, check, student, seed) for check in exercise.checks}
        errors = dict(student.errors)
        status = next((reason for reason in ("timeout", "crashed") if reason in student.stops), "graded")
        result.update(
            status=status,
            review=list(dict.fromkeys([*spliced.review, *student.review])),
            notes=student.notes,
            printed=_clean(student.printed),
            answers=spliced.answers,
        )
    for task in exercise.tasks:
        checks = [outcomes[check.name] for check in exercise.checks if check.task == task]
        points = sum(check["points"] for check in checks)
        result["tasks"].append(
            {
                "task": task,
                "state": student.state(task),
                "points": points,
                "max_points": sum(check["max_points"] for check in checks),
                "error": errors.get(task, ""),
                "checks": checks,
            }
        )
    result["points"] = sum(task["points"] for task in result["tasks"])
    return result


def _untouched(exercise: Exercise, state: str, message: str) -> list[dict]:
    tasks = []
    for task in exercise.tasks:
        checks = [
            {
                "check": check.name,
                "title": check.title,
                "points": 0.0,
                "max_points": check.points,
                "passed": False,
                "message": message,
            }
            for check in exercise.checks
            if check.task == task
        ]
        tasks.append(
            {
                "task": task,
                "state": state,
                "points": 0.0,
                "error": "",
                "max_points": sum(check["max_points"] for check in checks),
                "checks": checks,
            }
        )
    return tasks


def _outcome(exercise: Exercise, check, student: _Student, seed: int) -> dict:
    words = hashlib.sha256(f"{seed}/{exercise.name}/{check.name}".encode()).digest()
    rng = np.random.default_rng(list(words))
    torch = sys.modules.get("torch")
    if torch is not None:  # a check may build a network; what was checked before must not change it
        torch.manual_seed(int.from_bytes(words[:4], "big"))
    message = student.excuse(check.task)
    if not message:
        student.calls = 0
        try:
            with np.errstate(all="ignore"):
                check.function(student.proxy(check.task), rng)
        except AssertionError as error:
            message = str(error) or f"the check {check.name!r} does not hold"
        except (StudentError, Stopped) as error:
            message = student.explain(check.task, error)
        except Exception as error:  # the check met a value that its author did not think of
            message = f"what came back could not be compared ({type(error).__name__}); return what is asked for"
            student.review.append(f"the check {check.name} could not handle the answer: {type(error).__name__}")
        else:
            if not student.calls:
                message = "this check never asked the answer for anything"
                student.review.append(f"the check {check.name} passed without calling the student's function")
    return {
        "check": check.name,
        "title": check.title,
        "points": 0.0 if message else check.points,
        "max_points": check.points,
        "passed": not message,
        "message": _clean(message, MAX_MESSAGE),
    }


class _Student:
    """The student's code behind a wall. When it stops the process, the next check gets a new one."""

    def __init__(self, exercise: Exercise, spliced: Spliced, sandbox: str | None, limits: Limits):
        self.exercise, self.spliced, self.sandbox, self.limits = exercise, spliced, sandbox, limits
        self.deadline = time.monotonic() + limits.total
        self.session: Session | None = None
        self.skipped: set[int] = set()  # cells that stopped the process
        self.errors: dict[str, str] = {}  # task -> what went wrong in its cell
        self.lost: dict[str, str] = {}  # task -> why it is not asked any more
        self.notes: list[str] = []
        self.review: list[str] = []
        self.stops: set[str] = set()
        self.printed = ""
        self.begun = False
        self.calls = 0
        self.served = ""  # the task that this process was asked for last
        stub = {cell.task: _plain(cell.source) for cell in exercise.cells if cell.kind == "answer"}
        self.untouched = {task for task, source in spliced.answers.items() if _plain(source) == stub[task]}

    def __enter__(self) -> _Student:
        return self

    def __exit__(self, *_) -> None:
        if self.session:
            self.session.close()

    def begin(self) -> None:
        """Run the cells; one that stops the process is left out and the rest is run again."""
        if len(self.untouched) == len(self.exercise.tasks):
            return
        # After a restart the texts of the first time stay: the clock could tell the new process what a call of the old
        # one was asked, and these texts are shown.
        said = (self.errors, self.notes, self.printed) if self.begun else None
        while time.monotonic() < self.deadline:
            self.errors, self.notes = {}, []
            self.session = Session(self.sandbox, self.limits, self.deadline)
            try:
                self.session.run("start", "")
            except Stopped as stop:  # before any code of the student's: it is the machine's fault
                if time.monotonic() >= self.deadline:  # or the student's time was up while it started
                    break
                raise SandboxFailed(f"the sandbox did not start: {stop}") from stop
            if self._run_cells():
                self.printed, self.begun = self.session.printed.decode("utf-8", "replace"), True
                if said:
                    self.errors, self.notes, self.printed = said
                return
        self.session = None
        if said:
            self.errors, self.notes, self.printed = said

    def _run_cells(self) -> bool:
        for i, cell in enumerate(self.spliced.program):
            if i in self.skipped or (cell.kind == "answer" and cell.task in self.untouched and _is_stub(cell)):
                continue
            try:
                self.session.run(cell.task or cell.kind, cell.source)
            except StudentError as error:
                self._complain(cell, f"{error.kind}{f', line {error.line}' if error.line else ''}: {error.text}")
            except Stopped as stop:
                self.stops.add(stop.reason)
                self.skipped.add(i)
                if cell.kind == "given":
                    self.review.append(f"a given cell stopped: {stop}")
                elif cell.kind == "own":
                    self.review.append(f"a cell of the student's own was left out: {stop}")
                else:
                    self.lost[cell.task] = str(stop)
                    self.review.append(str(stop))
                return False
        for task, stop in self.lost.items():
            self.errors[task] = stop
        return True

    def _complain(self, cell: Cell, text: str) -> None:
        if cell.kind == "answer":
            self.errors[cell.task] = _clean(f"error in the answer cell: {text}")
        else:
            whose = "a cell of your own" if cell.kind == "own" else "a given cell"
            self.notes.append(_clean(f"error in {whose}: {text}"))

    def state(self, task: str) -> str:
        if task not in self.spliced.answers:
            return "absent"
        return "not attempted" if task in self.untouched else "attempted"

    def excuse(self, task: str) -> str:
        """Why this task is not asked, or nothing."""
        if task not in self.spliced.answers:
            return f"there is no answer cell that defines {task}"
        if task in self.untouched:
            return NOT_YET
        if task in self.lost:
            return self.lost[task]
        if self.errors.get(task, "").startswith("error in the answer cell: NotImplementedError"):
            return NOT_YET
        return ""

    def explain(self, task: str, error: StudentError | Stopped) -> str:
        """A message for what happened in a call. It never repeats a text that the student's code made up."""
        if isinstance(error, Stopped):
            self.stops.add(error.reason)
            self.lost[task] = str(error)
            self.review.append(str(error))
            return str(error)
        if error.kind == "NotImplementedError":
            return NOT_YET
        if error.kind == "KeyError" and not error.cell:
            wrong = self.errors.get(task)
            return f"{task} was not defined when the notebook had run" + (f": {wrong}" if wrong else "")
        if error.kind == "value":
            return f"{task} returned what cannot be compared: {_own_words(error.text)}"
        lines = self.spliced.answers[task].count("\n") + 1
        where = f" in line {error.line} of its cell" if 0 < error.line <= lines and error.cell == task else ""
        return f"{task} raised {error.kind}{where}"

    def proxy(self, task: str) -> _Proxy:
        return _Proxy(self, task)

    def call(self, task: str, name: str, args: tuple, kwargs: dict):
        if self.session is None or self.session._process.poll() is not None:
            self._renew()
        self.calls += 1
        served, self.served = self.served, task
        try:
            return self.session.call(name, args, kwargs)
        except Stopped as stop:
            if stop.reason != "crashed" or served in ("", task):
                raise
        # another task was asked before in this process: its answer may have left it dying
        self._renew()
        self.served = task
        return self.session.call(name, args, kwargs)

    def _renew(self) -> None:
        self.served = ""
        self.begin()
        if self.session is None:
            raise Stopped("timeout", f"the submission used up its {self.limits.total:.0f} seconds")


class _Proxy:
    """What a check sees as `student`."""

    def __init__(self, student: _Student, task: str):
        self._student, self._task = student, task

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._student.call(self._task, name, args, kwargs)


def _is_stub(cell: Cell) -> bool:
    return "raise NotImplementedError()" in cell.source


_KINDS = (
    "Tensor",
    "Figure",
    "function",
    "generator",
    "module",
    "Sequential",
    "type",
    "object",
    "map",
    "zip",
    "bytes",
    "complex",
    "DataFrame",
    "Series",
    "Image",
)
_CODEC = (
    "a dictionary whose keys are not all text",
    f"a value nested more than {codec.MAX_DEPTH} deep",
    "a value of too many parts; return arrays instead of long lists",
    "a whole number of more than 64 bits",
    f"more than {codec.MAX_FRAME // 2**20} MB of arrays",
)


def _own_words(text: str) -> str:
    """What the course's own codec says, word for word: the student's code can raise its error with other words."""
    kind, _, rest = text.partition("; ")
    if text in _CODEC or (kind.removeprefix("a ") in _KINDS and rest == "return numbers, lists or arrays"):
        return text
    return "return numbers, lists or arrays of numbers"


def _clean(text: str, most: int = 4000) -> str:
    """Text for a JSON file and a page: no control characters, not endless."""
    text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= most else text[:most] + " …"
