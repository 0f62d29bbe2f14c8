"""Judge one submission: run it in the sandbox, check its functions' values outside."""

from __future__ import annotations

import hashlib
import sys

import numpy as np

from .exercise import Check, Exercise
from .messages import MAX_MESSAGE, clean
from .notebook import Unreadable, read_notebook
from .sandbox import Limits, SandboxFailed, Stopped, StudentError, find_sandbox
from .student import Proxy, Student


def judge(
    exercise: Exercise, data: bytes, *, seed: int = 0, limits: Limits | None = None, unsafe: bool = False
) -> dict:
    """Judge one submission, the bytes of a notebook; the same bytes and seed give the same result.

    ``seed`` is that of the inputs that the checks draw, and of the order of the checks; ``unsafe`` does without a
    sandbox. The result is ready for JSON. Whatever the submission does becomes part of it; SandboxMissing and
    SandboxFailed say that the grader cannot work here, or could not this time.
    """
    sandbox = None if unsafe else find_sandbox()
    result = empty_result(exercise, "graded") | {"digest": hashlib.sha256(data).hexdigest()}
    try:
        with Student(exercise, read_notebook(data), sandbox, limits or Limits()) as student:
            student.begin()
            checks = list(exercise.checks)
            outcomes = {}
            for i in np.random.default_rng(seed).permutation(len(checks)):  # an order that nobody can know before
                outcomes[checks[i].name] = _outcome(exercise, checks[i], student, seed)
    except Unreadable as error:
        unread = [
            _task(task, "absent", [_judged(check, str(error)) for check in exercise.checks if check.task == task], "")
            for task in exercise.tasks
        ]
        return {**result, "status": "unreadable", "review": [str(error)], "tasks": unread}
    status = next((reason for reason in ("timeout", "crashed") if reason in student.stops), "graded")
    result |= {"status": status, "answers": student.spliced.answers, "killed": student.killed}
    result["review"] = list(dict.fromkeys(clean(reason, 1000) for reason in student.review))
    result["notes"] = [clean(note) for note in dict.fromkeys(student.notes)]
    result["printed"] = clean(student.printed)
    for task in exercise.tasks:
        found = [outcomes[check.name] for check in checks if check.task == task]
        result["tasks"].append(_task(task, student.state(task), found, student.errors.get(task, "")))
    result["points"] = sum(task["points"] for task in result["tasks"])
    return result


def empty_result(exercise: Exercise, status: str, reason: str = "") -> dict:
    """Return a result with nothing in it: no points, no tasks."""
    return {
        "exercise": exercise.name, "student": "", "key": "", "file": "", "ids": {}, "digest": "", "status": status,
        "review": [reason] if reason else [], "points": 0.0, "max_points": exercise.max_points, "tasks": [],
        "notes": [], "printed": "", "answers": {}, "killed": False,
    }  # fmt: skip


def _task(task: str, state: str, checks: list[dict], error: str) -> dict:
    points = {name: sum(check[name] for check in checks) for name in ("points", "max_points")}
    return {"task": task, "state": state, **points, "error": error, "checks": checks}


def _judged(check: Check, message: str, detail: str = "") -> dict:
    """Return the outcome of a check: passed where there is no message. The detail is for the teacher alone."""
    return {
        "check": check.name, "title": check.title, "points": 0.0 if message else check.points,
        "max_points": check.points, "passed": not message, "message": clean(message, MAX_MESSAGE),
        "detail": clean(detail, 1000),
    }  # fmt: skip


def _outcome(exercise: Exercise, check: Check, student: Student, seed: int) -> dict:
    words = hashlib.sha256(f"{seed}/{exercise.name}/{check.name}".encode()).digest()
    rng = np.random.default_rng(list(words))
    if torch := sys.modules.get("torch"):  # a check may build a network; what was checked before must not change it
        torch.manual_seed(int.from_bytes(words[:4], "big"))
    if message := student.excuse(check.task):
        return _judged(check, message)
    student.calls, student.last = 0, ""
    try:
        with np.errstate(all="ignore"):
            check.function(Proxy(student, check.task), rng)
    except AssertionError as error:
        message = str(error) or f"the check {check.name!r} does not hold"
    except (StudentError, Stopped) as error:
        message = student.explain(check.task, error)
    except SandboxFailed:
        raise
    except Exception as error:  # the check met a value that its author did not think of
        message = f"what came back could not be compared ({type(error).__name__}); return what is asked for"
        student.review.append(f"the check {check.name} could not handle the answer: {type(error).__name__}")
    else:
        if not student.calls:
            message = "this check never asked the answer for anything"
            student.review.append(f"the check {check.name} passed without calling the student's function")
    return _judged(check, message, student.last if message else "")
