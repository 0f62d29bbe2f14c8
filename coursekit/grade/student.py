"""The student's code behind a wall: run its cells, call its functions, start again where it ended the process."""

from __future__ import annotations

import reprlib
import time
from collections.abc import Callable

import numpy as np

from . import messages
from .exercise import Cell, Exercise
from .notebook import HandedIn
from .sandbox import Limits, SandboxFailed, Session, Stopped, StudentError
from .splice import Facts, Spliced, splice

_LATER = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError")  # a cell that came too early


class Student:
    """One submission. ``sandbox`` is the path of bubblewrap; None runs without one."""

    def __init__(self, exercise: Exercise, handed_in: HandedIn, sandbox: str | None, limits: Limits) -> None:
        self.exercise, self.handed_in, self.sandbox, self.limits = exercise, handed_in, sandbox, limits
        self.deadline = time.monotonic() + limits.total
        self.session: Session | None = None
        self.skipped: set[int] = set()  # cells that stopped the process
        self.errors: dict[str, str] = {}  # task -> what went wrong in its cell
        self.lost: dict[str, str] = {}  # task -> why it is not asked any more
        self.notes: list[str] = []
        self.review: list[str] = []
        self.stops: set[str] = set()
        self.killed = False  # by the system, so perhaps for want of memory that another process took
        self.printed = ""
        self.begun = False
        self.calls = 0
        self.last = ""  # the last call and what came of it, for the teacher
        self.served = ""  # the task that this process was asked for last
        try:
            self.spliced = self._splice()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Student:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self.session:
            self.session.close()
        self.session = None

    def _splice(self) -> Spliced:
        """Look at the cells, in a sandbox before anything of the student's runs, and put them into the exercise."""
        pristine = [cell.source for cell in self.exercise.cells]
        sources = [cell.source for cell in self.handed_in.cells]
        facts, code = [Facts.guessed(source) for source in sources], [""] * len(pristine)
        if set(sources) <= set(pristine):  # as it was handed out
            return splice(self.exercise, self.handed_in, facts, code)
        self.session = self._started()
        try:
            seen = self.session.look([*pristine, *sources], list(self.exercise.libraries))
            seen, foreign = seen["cells"], seen["foreign"]
            code = [cell["code"] for cell in seen[: len(pristine)]]
            theirs = seen[len(pristine) :]
            facts = [Facts(it["code"], tuple(it["binds"]), tuple(map(tuple, it["parts"]))) for it in theirs]
        except (Stopped, StudentError):  # a text that takes the parser too long; the text is guessed at
            foreign = []
            self._close()
        spliced = splice(self.exercise, self.handed_in, facts, code)
        known, told = set(pristine), set()
        for number, line, library in foreign:
            source = sources[number - len(pristine)] if number >= len(pristine) else ""
            if source and source not in known and library.partition(".")[0] not in told:
                told.add(library.partition(".")[0])
                words = " ".join(source.split("\n")[line - 1 : line]).strip()[:100]
                asked = ", ".join(self.exercise.libraries)
                self.review.append(f"{library} is used where only {asked} was asked for: {words}")
        self.review += spliced.review
        return spliced

    def _started(self) -> Session:
        session = Session(self.sandbox, self.limits, self.deadline)
        try:
            session.start(self.exercise.tasks, self.exercise.given)
        except Stopped as stop:  # before any code of the student's: it is the machine's fault
            raise SandboxFailed(f"the sandbox did not start: {stop}") from stop
        return session

    def begin(self) -> None:
        """Run the cells; one that stops the process is left out and the rest is run again."""
        if not self.spliced.answers or len(self.spliced.untouched) == len(self.exercise.tasks):
            return
        # After a restart the texts of the first time stay: the clock could tell the new process what a call of the old
        # one was asked, and these texts are shown.
        said = (self.errors, self.notes, self.printed) if self.begun else None
        unused = None if self.begun else self.session  # the one that has looked at the cells
        while time.monotonic() < self.deadline:
            self.errors, self.notes = {}, list(self.spliced.notes)
            if unused is None:
                self._close()
                try:
                    self.session = self._started()
                except SandboxFailed:
                    if time.monotonic() >= self.deadline:  # the student's time was up while it started
                        break
                    raise
            unused = None
            try:
                self._run_cells()
            except Stopped:  # without the cell that did it, once more
                continue
            self.printed, self.begun = self.session.printed.decode("utf-8", "replace"), True
            break
        else:
            self._close()
        if said:
            self.errors, self.notes, self.printed = said

    def _run_cells(self) -> None:
        """Run the cells that have not stopped the process. Raises Stopped."""
        early: list[tuple[int, Cell, StudentError]] = []
        for i, cell in enumerate(self.spliced.program):
            if i in self.skipped:
                continue
            error = self._run(i, cell)
            if error and error.kind in _LATER:
                early.append((i, cell, error))
            elif error:
                self._complain(cell, error)
        for i, cell, error in early:  # once more, when all the others have run
            if self._run(i, cell):
                self._complain(cell, error)
        self.errors |= self.lost

    def _run(self, i: int, cell: Cell) -> StudentError | None:
        """Run a cell, and return its error. Raises Stopped, and notes it, where the process is gone."""
        try:
            kept = self.session.run("given" if cell.kind == "given" else f"cell {i}", cell.source)
        except StudentError as error:
            return error
        except Stopped as stop:
            self._stopped(stop)
            self.skipped.add(i)
            if cell.kind == "given":
                self.review.append(f"a given cell stopped: {stop}")
            elif not cell.tasks:
                self.review.append(f"a cell of the student's own was left out: {stop}")
            else:
                self.lost.update(dict.fromkeys(cell.tasks, str(stop)))
                self.review.append(str(stop))
            raise
        for task in kept:
            self.notes.append(f"a cell gives the name {task} to something else; the function of this name was graded")
        return None

    def _stopped(self, stop: Stopped) -> None:
        self.stops.add(stop.reason)
        self.killed |= stop.killed

    def _complain(self, cell: Cell, error: StudentError) -> None:
        text = messages.of_cell(error, cell.source, self.handed_in.python)
        if cell.tasks:
            self.errors.update(dict.fromkeys(cell.tasks, f"error in the answer cell: {text}"))
        else:
            whose = "a given cell" if cell.kind == "given" else "a cell of your own"
            self.notes.append(f"error in {whose}: {text}")

    def state(self, task: str) -> str:
        """Say what became of a task: attempted, not attempted, or absent."""
        if task not in self.spliced.answers:
            return "absent"
        return "not attempted" if task in self.spliced.untouched else "attempted"

    def excuse(self, task: str) -> str:
        """Why this task is not asked, or nothing."""
        if task not in self.spliced.answers:
            return f"there is no answer that defines {task}"
        if task in self.spliced.untouched:
            return messages.NOT_YET
        return self.lost.get(task, "")

    def explain(self, task: str, error: StudentError | Stopped) -> str:
        """Return a message for what happened in a call."""
        if isinstance(error, Stopped):
            self._stopped(error)
            self.lost[task] = str(error)
            self.review.append(str(error))
            return str(error)
        if error.kind == "KeyError" and not error.cell:
            wrong = self.errors.get(task)
            return f"{task} was not defined when the notebook had run" + (f": {wrong}" if wrong else "")
        return messages.of_call(task, error, self.spliced.answers[task], self._line(error, task)[0])

    def _line(self, error: StudentError, task: str) -> tuple[int, str]:
        """Return number and text of the answer's line where an error happened; (0, "") where it was elsewhere."""
        words = error.cell.split()
        if len(words) == 2 and words[0] == "cell" and words[1].isdecimal() and len(words[1]) < 6:
            program = self.spliced.program
            cell = program[int(words[1])] if int(words[1]) < len(program) else None
            lines = cell.source.split("\n") if cell and task in cell.tasks else []
            if 0 < error.line <= len(lines):
                return error.line, lines[error.line - 1].strip()
        return 0, ""

    def call(self, task: str, name: str, args: tuple, kwargs: dict) -> object:
        """Say what a function returns. Raises StudentError or Stopped."""
        if self.session is None or not self.session.alive():
            self.renew()
        self.calls += 1
        served, self.served = self.served, task
        try:
            return self._called(task, name, args, kwargs)
        except Stopped as stop:
            if stop.reason != "crashed" or served in ("", task):
                raise
        # another task was asked before in this process: its answer may have left it dying
        self.renew()
        self.served = task
        return self._called(task, name, args, kwargs)

    def _called(self, task: str, name: str, args: tuple, kwargs: dict) -> object:
        given = ", ".join(map(_short, [*args, *kwargs.values()]))
        try:
            value = self.session.call(name, args, kwargs)
        except StudentError as error:
            line, words = self._line(error, task)
            where = f", line {line}: {words}" if line else ""
            self.last = f"{name}({given}) raised {error.kind}: {error.text}{where}"
            raise
        except Stopped as stop:
            self.last = f"{name}({given}): {stop}"
            raise
        self.last = f"{name}({given}) returned {_short(value)}"
        return value

    def renew(self) -> None:
        """Run the notebook in a new process: what the old one remembered is gone."""
        self.served = ""
        self.begin()
        if self.session is None:
            raise Stopped("timeout", f"the submission used up its {self.limits.total:.0f} seconds (--timeout)")


class Proxy:
    """What a check sees as `student`: `student.NAME(...)` calls NAME inside the sandbox."""

    def __init__(self, student: Student, task: str) -> None:
        self._student, self._task = student, task

    def restart(self) -> None:
        """Ask what follows of a new process, which cannot remember what was said before."""
        self._student.renew()

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._student.call(self._task, name, args, kwargs)


def _short(value: object) -> str:
    """Return a value for the teacher, in a few words."""
    if isinstance(value, np.ndarray):
        if value.size <= 6:
            return f"array({np.array2string(value, precision=4, separator=', ')})".replace("\n", "")
        return f"array of shape {value.shape}"
    if type(value).__module__ == "torch":
        return f"tensor of shape {tuple(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)) and len(value) <= 4:
        return f"[{', '.join(map(_short, value))}]"
    return reprlib.repr(value)
