"""Put the student's code into the pristine notebook.

Whatever happened to the notebook (test cells edited or deleted, metadata lost, cells split, copied, moved or put
together), the given cells come from the released exercise and everything else that the student wrote is run, in the
student's order. Which cell answers a task is told by what it defines, not by its place or its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .exercise import Cell, Exercise
from .notebook import Handed, HandedIn, Unreadable, plain

_DEFINED = re.compile(r"^[ \t]*(?:async )?(?:def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]*)?=(?!=)", re.M)
COPIED = 0.5  # part of a cell's statements that it shares with a test, from which on it is an edited copy of that test


@dataclass(frozen=True)
class Facts:
    """What the sandbox says about a cell without running it: see `inside/cells.py`."""

    code: str = ""
    binds: tuple[str, ...] = ()
    parts: tuple[tuple[int, int, bool], ...] = ()

    @classmethod
    def guessed(cls, source: str) -> Facts:
        """Return the same by a look at the text, where a cell is no Python or nothing could be said."""
        return cls("", tuple(sorted({a or b for a, b in _DEFINED.findall(source)})))


@dataclass(frozen=True)
class Spliced:
    """What runs: `program` in order.

    answers: task -> the student's source. untouched: tasks whose answer cell is still as it was handed out. review:
    what a person should look at. notes: what the student should know.
    """

    program: tuple[Cell, ...]
    answers: dict[str, str]
    untouched: frozenset[str]
    review: tuple[str, ...]
    notes: tuple[str, ...] = ()


def splice(exercise: Exercise, handed_in: HandedIn, facts: Sequence[Facts], pristine_code: Sequence[str]) -> Spliced:
    """Make the program of a submission. Raises Unreadable where nothing in it belongs to this exercise.

    facts: one per cell of `handed_in`. pristine_code: `Facts.code` of each cell of `exercise.cells`.
    """
    pristine, tasks = exercise.cells, exercise.tasks
    place = _Places(pristine, pristine_code)
    cells: list[tuple[int | None, Cell]] = []  # place of the pristine cell that it stands for; what runs
    first = next(i for i, cell in enumerate(pristine) if cell.kind == "answer")
    stubs, notes, claimed = set(), [], {}
    for cell, fact in zip(handed_in.cells, facts, strict=True):
        at, same = place.of(cell, fact)
        binds = fact.binds if fact.code else Facts.guessed(cell.source).binds
        kind = pristine[at].kind if at is not None else ""
        if same and kind == "answer":
            stubs.add(pristine[at].task)
        elif same:
            cells.append((at if kind != "given" or at >= first else None, Cell("given", (), "")))
        elif found := tuple(task for task in tasks if task in binds):
            cells.append((at, Cell("answer", found, cell.source)))
        elif kind in ("test", "demo") or (at is None and place.copies_a_test(cell)):
            if added := place.added(cell, fact, pristine[at].source if at is not None else ""):
                cells.append((at, Cell("own", (), added)))
        elif not cell.source.strip():
            continue
        elif kind == "answer":  # its function is somewhere else, or gone, or this is no Python
            claimed.setdefault(pristine[at].task, []).append(cell.source)
            cells.append((at, Cell("answer", (), cell.source)))
        else:
            cells.append((at, Cell("own", (), cell.source)))
            if kind == "given" and (lines := _new_lines(cell.source, pristine[at].source)):
                notes.append(f"a given cell was changed ({lines}); your cell was run, then the given one again")
    answers: dict[str, list[str]] = {}
    for _, cell in cells:
        for task in cell.tasks:
            answers.setdefault(task, []).append(cell.source)
    answers = claimed | answers
    if not answers and not stubs:
        why = "is it the notebook of another exercise?" if handed_in.cells else "the notebook has no code"
        raise Unreadable(f"no answer of {exercise.name} was found: {why}")
    review = [
        f"{len(set(sources))} different answer cells for {task}; the last one counts"
        for task, sources in answers.items()
        if len(set(map(plain, sources))) > 1
    ]
    untouched = frozenset(stubs - set(answers))
    if absent := [task for task in tasks if task not in answers and task not in stubs]:
        review.append(f"no answer for {', '.join(absent)}")
    sources = {task: "\n\n".join(answers.get(task, ())) for task in tasks if task in answers or task in stubs}
    sources |= {cell.task: cell.source for cell in pristine if cell.kind == "answer" and cell.task in untouched}
    return Spliced(_in_order(pristine, cells), sources, untouched, tuple(review), tuple(notes))


def _in_order(pristine: tuple[Cell, ...], cells: list[tuple[int | None, Cell]]) -> tuple[Cell, ...]:
    """Return the student's cells in their order; each given cell before the first cell that stood after it."""
    first = next(i for i, cell in enumerate(pristine) if cell.kind == "answer")
    program, done = [], 0

    def give(until: int) -> None:
        nonlocal done
        program.extend(cell for cell in pristine[done:until] if cell.kind == "given")
        done = max(done, until)

    give(first)
    for at, cell in cells:
        if at is not None:
            give(at)
        if cell.kind != "given":
            program.append(cell)
        if at is not None and pristine[at].kind == "given":
            if at < done:  # it ran before what the student made of it
                program.append(pristine[at])
            give(at + 1)
    give(len(pristine))
    return tuple(program)


class _Places:
    """Finds the pristine cell that a cell is, or was before it was edited."""

    def __init__(self, pristine: tuple[Cell, ...], code: Sequence[str]) -> None:
        self.pristine = pristine
        self.by_grade_id = {cell.grade_id: i for i, cell in enumerate(pristine) if cell.grade_id}
        self.by_id = {cell.id: i for i, cell in enumerate(pristine) if cell.id}
        self.by_source = {plain(cell.source): i for i, cell in enumerate(pristine)}
        self.by_code = {text: i for i, text in enumerate(code) if text}
        self.code = code
        self.tests = {
            plain(line) for cell in pristine if cell.kind in ("test", "demo") for line in cell.source.split("\n")
        }

    def of(self, cell: Handed, fact: Facts) -> tuple[int | None, bool]:
        """Return the place of its pristine cell, or None, and whether nothing was changed."""
        text = plain(cell.source)
        named = self.by_grade_id.get(cell.grade_id, self.by_id.get(cell.id))
        if named is not None:
            same = text == plain(self.pristine[named].source) or (fact.code and fact.code == self.code[named])
            if same:
                return named, True
        found = self.by_source.get(text, self.by_code.get(fact.code) if fact.code else None)
        return (found, True) if found is not None else (named, False)

    def copies_a_test(self, cell: Handed) -> bool:
        """Whether a nameless cell is a test or a demonstration with some changes."""
        lines = [plain(line) for line in cell.source.split("\n") if len(line.strip()) > 8]
        return len(lines) > 1 and sum(line in self.tests for line in lines) > COPIED * len(lines)

    def added(self, cell: Handed, fact: Facts, before: str) -> str:
        """Tell what an edited test defines and the test did not; the tests themselves do not run."""
        lines, known = cell.source.split("\n"), plain(before) or " ".join(self.tests)
        parts = ["\n".join(lines[first - 1 : last]) for first, last, defines in fact.parts if defines]
        return "\n".join(part for part in parts if plain(part) not in known)


def _new_lines(source: str, before: str) -> str:
    known = {plain(line) for line in before.split("\n")}
    lines = [line.strip() for line in source.split("\n") if plain(line) and plain(line) not in known]
    return "; ".join(line[:60] for line in lines[:3]) + (" …" if len(lines) > 3 else "")
