"""Grade a whole class: every submission gets a row, whatever it does; a batch that was stopped goes on where it was."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import ctypes
import functools
import hashlib
import multiprocessing
import platform
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cxrlib
from cxrlib.device import cores
from cxrlib.files import atomic_path, has_shape, read_json, write_json
from cxrlib.progress import bar

from . import report
from .exercise import Exercise, check_points
from .messages import clean
from .roster import Roster
from .sandbox import Limits, SandboxFailed, find_sandbox
from .similar import near_identical
from .submissions import Submission, collect
from .verdict import empty_result, judge

_CHECK = {"check": str, "title": str, "points": float, "max_points": float}
_CHECK |= {"passed": bool, "message": str, "detail": str}
_TASK = {"task": str, "state": str, "points": float, "max_points": float, "error": str, "checks": [_CHECK]}
_RESULT = dict.fromkeys(("exercise", "student", "key", "file", "digest", "status", "printed"), str)
_RESULT |= {"points": float, "max_points": float, "tasks": [_TASK], "review": [str], "notes": [str]}
_RESULT |= {"ids": {str: str}, "answers": {str: str}}


@dataclass(frozen=True)
class Batch:
    """A graded batch.

    results: one dictionary a student, sorted by key. pairs: near-identical answers. warnings: about the roster.
    """

    folder: Path
    results: list[dict]
    pairs: list
    warnings: list[str]

    def counts(self) -> dict[str, int]:
        """How many submissions have each status, as people read it."""
        return dict(collections.Counter(map(report.status, self.results)))


def grade_batch(
    exercise: Exercise, submissions: Path, out: Path, *, jobs: int | None = None, seed: int | None = None,
    roster: Path | None = None, column: str = "", resume: bool = False, dask: str | None = None,
    limits: Limits | None = None, unsafe: bool = False, progress: bool = True,
) -> Batch:  # fmt: skip
    """Grade every submission below `submissions` (a folder or zip, also as Canvas and Moodle export them) into `out`.

    out gets results/KEY.json, feedback/KEY.html, gradescope/KEY/results.json, grades.csv and summary.html; with a
    roster also the roster's file with the points filled in. jobs: sandboxes at a time (default: one a core). seed: of
    the checks' inputs (default: drawn once a batch and kept in out/batch.json). dask: address of a Dask scheduler whose
    workers judge instead. resume: keep the results that are there.

    Raises SandboxMissing without a sandbox, ValueError when the exercise does not grade its own reference fully.
    """
    out, limits = Path(out), limits or Limits()
    if not unsafe and not dask:
        find_sandbox()
    jobs = jobs or cores()
    handed_in = collect(Path(submissions), exercise.name)
    people = Roster.read(roster) if roster else None
    if people is not None:
        people.column(exercise.name, column)  # better now than when all is graded
        names = dict(people.students())
        handed_in = [_known(people, names, it) for it in handed_in]
    seed = _open_batch(out, exercise, seed, resume)
    results = {it.key: kept for it in handed_in if resume and (kept := _kept(out, it)) is not None}
    waiting = [it for it in handed_in if it.key not in results]
    tries = collections.Counter()
    judge_it = functools.partial(_judge_one, exercise, seed=seed, limits=limits, unsafe=unsafe)
    shown = bar(total=len(waiting), desc="Grading", unit="submission", show=progress)
    with shown, _executor(dask, jobs, judge_it) as run:
        prove(exercise, run)
        while waiting:
            again = []
            for submission, future in run(waiting):
                tries[submission.key] += 1
                if _broke(future) and tries[submission.key] < 3:
                    again.append(submission)  # a process of the grader's died; it may have judged somebody else
                    continue
                results[submission.key] = _result_of(future, exercise, submission)
                shown.update()
                if not _doubtful(results[submission.key]):
                    _save(out, exercise, results[submission.key])
            waiting = again
        for submission in handed_in:  # what a neighbor may have spoilt is judged once more, with nobody beside it
            if _doubtful(results[submission.key]):
                for _, future in run([submission]):
                    results[submission.key] = _result_of(future, exercise, submission)
                _save(out, exercise, results[submission.key])
    ordered = [results[key] for key in sorted(results)]
    if people is not None:
        ordered += _missing(people, handed_in, exercise)
    return _summarize(out, exercise, ordered, people, seed, column)


def prove(exercise: Exercise, run: Callable) -> None:
    """Judge the reference answers (full marks) and the untouched notebook (zero), or raise ValueError.

    run: takes submissions and yields (submission, future).
    """
    reference = Submission("reference", "reference", "", exercise.with_answers(dict(exercise.reference)), "", (), {})
    stub = Submission("stub", "stub", "", exercise.notebook.encode(), "", (), {})
    judged = {submission.key: future.result() for submission, future in run([reference, stub])}
    full, empty = judged["reference"], judged["stub"]
    if full["points"] != exercise.max_points or full["status"] != "graded":
        failing = [f"{c['check']}: {c['message']}" for t in full["tasks"] for c in t["checks"] if not c["passed"]]
        raise ValueError(
            f"{exercise.name}: the reference answers get {full['points']:g} of {exercise.max_points:g} "
            f"points, so nothing was graded. {'; '.join([*failing, *full['review'], *full['notes']])}"
        )
    if empty["points"] != 0:
        points = f"{empty['points']:g} points"
        raise ValueError(f"{exercise.name}: the untouched notebook gets {points}, so nothing was graded")


_one_at_a_time = threading.Lock()  # for a Dask worker with several threads


def _judge_one(exercise: Exercise, submission: Submission, seed: int, limits: Limits, unsafe: bool) -> dict:
    person = _person(submission)
    if submission.data is None:
        return {**_row(exercise, "unreadable", submission.problem), **person}
    with _one_at_a_time:
        if exercise.checks and (torch := sys.modules.get("torch")):
            torch.set_num_threads(1)  # two threads in each of two processes wait for each other more than they work
        try:
            result = judge(exercise, submission.data, seed=seed, limits=limits, unsafe=unsafe)
        except SandboxFailed:
            result = judge(exercise, submission.data, seed=seed, limits=limits, unsafe=unsafe)
    return {**result, **person, "review": [*submission.notes, *result["review"]]}


def _row(exercise: Exercise, status: str, reason: str) -> dict:
    empty = {"state": "absent", "points": 0.0, "error": "", "checks": []}
    points = check_points(exercise.name, exercise.checks_source)
    tasks = [{"task": task, **empty, "max_points": points[task]} for task in exercise.tasks]
    return {**empty_result(exercise, status, reason), "tasks": tasks}


def _doubtful(result: dict) -> bool:
    """Whether something else may be to blame: the grader failed, or the system killed the process."""
    return result["status"] == "not graded" or result["killed"]


def _result_of(future: concurrent.futures.Future, exercise: Exercise, submission: Submission) -> dict:
    try:
        return future.result()
    except Exception as error:  # one submission must not stop the others
        reason = f"the grader itself failed ({type(error).__name__}: {error}); grade this one again with --resume"
        return {**_row(exercise, "not graded", clean(reason, 1000)), **_person(submission)}


def _person(submission: Submission) -> dict:
    return {"student": submission.student, "key": submission.key, "file": submission.file, "ids": dict(submission.ids)}


def _known(people: Roster, names: dict[int, str], submission: Submission) -> Submission:
    """Name a submission's student as the course list does, and note what does not fit."""
    student = names.get(people.match(submission), submission.student)
    conflict = people.conflict(submission)
    return replace(submission, student=student, notes=(*submission.notes, *([conflict] if conflict else [])))


def _missing(people: Roster, handed_in: list[Submission], exercise: Exercise) -> list[dict]:
    there = set().union(*(people.fitting(submission) for submission in handed_in))  # also where two fit one name
    return [
        {**_row(exercise, "missing", ""), "student": name, "key": f"missing-{row:04d}"}
        for row, name in people.students()
        if row not in there
    ]


def _open_batch(out: Path, exercise: Exercise, seed: int | None, resume: bool) -> int:
    """Make the batch's folder, or continue it; returns the seed."""
    record = out / "batch.json"
    if record.exists():
        if not resume:
            raise ValueError(f"{out} holds a batch already: continue it with --resume, or name another with --out")
        before = read_json(record)
        if not has_shape(before, {"exercise": str, "digest": str, "seed": int}) or before["seed"] < 0:
            raise ValueError(f"{record} is damaged, so this batch cannot be continued: name another folder with --out")
        if before["digest"] != exercise.digest:
            remedy = "name another folder with --out, so that everybody is judged alike"
            raise ValueError(f"{out} was graded with another version of {before['exercise']}: {remedy}")
        if seed is not None and seed != before["seed"]:
            raise ValueError(f"{out} was graded with seed {before['seed']}; leave --seed out to continue it")
        return before["seed"]
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no batch: name another folder with --out")
    seed = secrets.randbelow(2**31) if seed is None else seed
    out.mkdir(parents=True, exist_ok=True)
    try:
        for name in ("results", "feedback", "gradescope"):
            (out / name).mkdir()
    except FileExistsError:  # two seeds in one folder would judge people differently
        raise ValueError(f"another grader has just begun a batch in {out}: name another folder with --out") from None
    write_json(record, {"exercise": exercise.name, "digest": exercise.digest, "seed": seed})
    return seed


def _kept(out: Path, submission: Submission) -> dict | None:
    try:
        result = read_json(out / "results" / f"{submission.key}.json")
    except (OSError, ValueError):
        return None
    digest = hashlib.sha256(submission.data).hexdigest() if submission.data is not None else ""
    if not has_shape(result, _RESULT) or result["status"] not in report.STATUSES:
        return None
    same = (result["digest"], result["key"]) == (digest, submission.key) and result["status"] != "not graded"
    return {**result, "killed": False} if same else None


def _save(out: Path, exercise: Exercise, result: dict) -> None:
    key = result["key"]
    result = {name: value for name, value in result.items() if name != "killed"}
    _write(out / "feedback" / f"{key}.html", report.feedback_html(result, title=exercise.title or exercise.name))
    gradescope = out / "gradescope" / key / "results.json"
    gradescope.parent.mkdir(exist_ok=True)
    report.write_gradescope(result, gradescope)
    write_json(out / "results" / f"{key}.json", result)  # last: what is there is complete


def _summarize(
    out: Path, exercise: Exercise, results: list[dict], people: Roster | None, seed: int, column: str = ""
) -> Batch:
    given = {cell.task: cell.source for cell in exercise.cells if cell.kind == "answer"}
    pairs = near_identical({result["key"]: result["answers"] for result in results if result["answers"]}, given)
    report.write_grades_csv(results, out / "grades.csv")
    meta = {"seed": seed, "exercise": exercise.name, "cxrlib": cxrlib.__version__, "python": platform.python_version()}
    _write(out / "summary.html", report.summary_html(results, pairs, title=exercise.title or exercise.name, meta=meta))
    warnings = []
    if people is not None:
        warnings = people.export(results, out / "roster.csv", exercise.name, exercise.max_points, column)
    return Batch(out, results, pairs, warnings)


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _executor(dask: str | None, jobs: int, judge_it: Callable):
    """Return a function that judges submissions side by side and yields (submission, future)."""

    def pair(executor: concurrent.futures.Executor, submissions: list):
        futures = {executor.submit(judge_it, it): it for it in submissions}
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], future

    if dask is None:
        # processes, not threads: the checks build networks from torch's one random generator
        pools, before = [], set(multiprocessing.active_children())

        def run(submissions: list):
            if not pools:
                spawn = multiprocessing.get_context("spawn")
                pools.append(concurrent.futures.ProcessPoolExecutor(jobs, spawn, _die_with_parent))
            for submission, future in pair(pools[-1], submissions):
                yield submission, future
                if _broke(future):
                    pools.clear()  # the next call gets another one

        try:
            yield run
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise
        finally:
            for pool in pools:
                pool.shutdown(cancel_futures=True)
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("--dask needs the package distributed: pip install 'coursekit'") from None
    try:
        client = Client(dask, timeout="10s", set_as_default=False)
    except OSError as error:
        raise ValueError(f"no Dask scheduler answers at {dask!r} ({error}): start one with `dask scheduler`") from None
    with client, client.get_executor(pure=False) as executor:
        yield functools.partial(pair, executor)


def _broke(future: concurrent.futures.Future) -> bool:
    return isinstance(future.exception(), concurrent.futures.BrokenExecutor)


def _die_with_parent() -> None:
    """In a process of the pool: end when the grader is killed; its sandbox ends with it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
