"""Take the student's cells out of a submission and put them into the pristine notebook.

Whatever happened to the notebook (test cells edited or deleted, metadata lost on the way through Colab, cells copied or
moved), only answer cells and cells of the student's own are taken; everything else comes from the released exercise.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass

from .exercise import ANSWER, Cell, Exercise

MAX_CELLS = 1000
MAX_SOURCE = 200_000
MAX_GUESSES = 50  # cells whose likeness to a given cell is measured, which takes up to a tenth of a second each
_DEFINED = re.compile(r"^(?:def|class)[ \t]+(\w+)", re.M)
_BOUND = re.compile(r"^(?:(?:def|class)[ \t]+(\w+)|(\w+)[ \t]*=(?!=))", re.M)


class Unreadable(ValueError):
    """A file that is not a submission of this exercise."""


@dataclass(frozen=True)
class Spliced:
    """What runs: `program` in order. answers: task -> the student's source. review: what a person should look at."""

    program: tuple[Cell, ...]
    answers: dict[str, str]
    review: tuple[str, ...]


def splice(exercise: Exercise, data: bytes) -> Spliced:
    """The program that a submission's bytes make of the exercise. Raises Unreadable with the reason."""
    own: dict[str, list[Cell]] = {}  # answer task -> the student's cells that belong after the one before it
    found: dict[str, list[str]] = {}
    review: list[str] = []
    task = ""
    pristine = exercise.cells
    by_id = {key: cell for cell in pristine for key in ((cell.grade_id, ""), ("", cell.id)) if any(key)}
    by_source = {_plain(cell.source): cell for cell in pristine}
    stripped, guesses = False, 0
    for cell in _code_cells(data):
        match = by_id.get((cell.grade_id, "")) if cell.grade_id else None
        if match is None:
            stripped = True
            match = by_source.get(_plain(cell.source)) or by_id.get(("", cell.id))
            if match is None:
                guesses += 1
                match = _by_content(pristine, cell, guesses <= MAX_GUESSES)
        if match is not None and match.kind == "answer" and not _answers(cell, match):
            # its place in the notebook holds something else, perhaps another task's answer
            guesses += 1
            match = _by_content(pristine, cell, guesses <= MAX_GUESSES) or match
        if match is not None and match.kind != "answer":
            continue
        if match is not None:
            task = match.task
            found.setdefault(task, []).append(cell.source)
            own.setdefault(task, []).append(Cell("answer", task, cell.source))
        elif cell.source.strip():
            own.setdefault(task, []).append(Cell("own", task, cell.source))
    if not found:
        raise Unreadable(_nothing_found(exercise, own))
    for name, sources in found.items():
        if len(set(map(_plain, sources))) > 1:
            review.append(f"{len(sources)} different answer cells for {name}; the last one counts")
    absent = [name for name in exercise.tasks if name not in found]
    if absent:
        review.append(f"no answer cell for {', '.join(absent)}")
    elif stripped and not any(cell.grade_id for cell in _code_cells(data)):
        review.append("the cells' names were lost (saved by another program?); answers were found by their content")
    given = {name for cell in pristine if cell.kind == "given" for name in _DEFINED.findall(cell.source)}
    theirs = {a or b for cells in own.values() for cell in cells for a, b in _BOUND.findall(cell.source)}
    if replaced := sorted(given & theirs - set(exercise.tasks)):
        # it may report about an answer, in the student's own process, what is not so (that no hook is left)
        review.append(f"the given {', '.join(replaced)} was replaced by the student's own")
    program: list[Cell] = []
    for cell in pristine:
        if cell.kind == "given":
            program.append(cell)
        elif cell.kind == "answer":
            program += own.get(cell.task, ())
    first = next(i for i, cell in enumerate(program) if cell.kind != "given")
    program[first:first] = own.get("", ())  # the student's cells before the first answer
    return Spliced(tuple(program), {name: "\n\n".join(sources) for name, sources in found.items()}, tuple(review))


def _code_cells(data: bytes) -> list[Cell]:
    try:
        text = data.decode("utf-8-sig")
        notebook = json.loads(text)
    except UnicodeDecodeError:
        raise Unreadable("the file is not a notebook: it is not UTF-8 text") from None
    except RecursionError:
        raise Unreadable("the file is not a notebook: it is nested too deep") from None
    except ValueError as error:
        reason = "the file is empty" if not data.strip() else f"the file is not valid JSON ({str(error)[:80]})"
        raise Unreadable(f"{reason}; save the notebook again and hand that in") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        old = isinstance(notebook, dict) and "worksheets" in notebook
        raise Unreadable(
            "the notebook is in an old format; open and save it in a current Jupyter"
            if old
            else "the file is JSON but not a notebook: it has no list of cells"
        )
    if len(notebook["cells"]) > MAX_CELLS:
        raise Unreadable(f"the notebook has {len(notebook['cells'])} cells; at most {MAX_CELLS} are read")
    cells = []
    for cell in notebook["cells"]:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(source, str):
            raise Unreadable("the notebook has a code cell whose source is not text")
        if len(source) > MAX_SOURCE:
            raise Unreadable(f"the notebook has a cell of {len(source)} characters; at most {MAX_SOURCE} are read")
        metadata = cell.get("metadata")
        grading = metadata.get("nbgrader") if isinstance(metadata, dict) else None
        grade_id = grading.get("grade_id") if isinstance(grading, dict) else None
        # surrogates cannot be sent to the sandbox, and Python would refuse them in a program anyway
        source = source.encode("utf-8", "replace").decode()
        cells.append(Cell("own", "", source, *(x if isinstance(x, str) else "" for x in (grade_id, cell.get("id")))))
    return cells


def _plain(source: str) -> str:
    return re.sub(r"\s+", " ", source).strip()


def _answers(cell: Cell, match: Cell) -> bool:
    return match.task in ANSWER.findall(cell.source)


def _by_content(pristine: tuple[Cell, ...], cell: Cell, edited: bool) -> Cell | None:
    """The pristine cell that a nameless cell is: the answer whose function it defines, or (`edited`) a test, hardly
    edited."""
    defined = set(ANSWER.findall(cell.source))
    for other in pristine:
        if other.kind == "answer" and other.task in defined:
            return other
    if not edited:
        return None
    plain = _plain(cell.source)[:2000]
    for other in pristine:
        if other.kind == "answer":
            continue
        likeness = difflib.SequenceMatcher(None, _plain(other.source)[:2000], plain, autojunk=False)
        if likeness.real_quick_ratio() > 0.8 and likeness.quick_ratio() > 0.8 and likeness.ratio() > 0.8:
            return other
    return None


def _nothing_found(exercise: Exercise, own: dict) -> str:
    return f"no answer cell of {exercise.name} was found" + (
        ": is it the notebook of another exercise?" if own else ": the notebook has no code"
    )
