"""What people get from a graded batch: tables, Gradescope's results, a feedback page a student, a summary page.

The pages stand alone: no script, no request to anywhere. Everything that a submission can choose (names, output,
messages that quote a value) is escaped, and characters that hide or turn text around are made visible.
"""

from __future__ import annotations

import csv
import functools
import math
import re
import statistics
import unicodedata
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import jinja2

from cxrlib.files import atomic_path, write_json

from .roster import safe_cell, shown_points

MAX_PRINTED = 4096  # characters of a submission's output on its page
MAX_PAIRS = 200  # pairs on the summary page
STATUSES = ("graded", "needs review", "timeout", "crashed", "unreadable", "not graded", "missing")
_WHY = {
    "timeout": "some of its code ran too long and was stopped",
    "crashed": "some of its code ended the Python process",
    "unreadable": "the file could not be read as a notebook",
    "not graded": "the grader failed, which is nobody's fault here: the same command with --resume judges it again",
}
_HEADLINES = {
    "timeout": "Some of your code ran too long and was stopped. Look for a loop that does not end, or for work that "
    "can be done once instead of many times. Tasks that do not need this code were still checked.",
    "crashed": "Some of your code ended the Python process: by sys.exit, or by asking for too much memory. Tasks that "
    "do not need this code were still checked.",
    "missing": "No submission was found.",
}
_COLOR = re.compile(r"\x1b\[[0-9;:]*m")  # what a traceback is colored with
_TURNING = "\u061c\u200b\u200e\u200f\u2060\ufeff" + "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def status(result: Mapping) -> str:
    """Return the status of a result as people read it: "needs review" where it is graded and a person should look."""
    return "needs review" if result["status"] == "graded" and result.get("review") else result["status"]


def visible(text: str) -> str:
    """`text` with control characters and characters that turn text around written out: U+202E becomes ⟦U+202E⟧."""
    text = _COLOR.sub("", str(text)).replace("\r\n", "\n").replace("\r", "\n")
    hidden = {c for c in text if c in _TURNING or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n", "\t"}
    return "".join(f"⟦U+{ord(c):04X}⟧" if c in hidden else c for c in text)


def _line(text: str, width: int = 160) -> str:
    """`text` in one line of at most `width` characters."""
    text = " ".join(visible(text).split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def write_grades_csv(results: Iterable[Mapping], path: str | Path) -> Path:
    """One row a student: student, key, file, status, points, max points, one column a task, review.

    UTF-8 with a byte order mark, so that a spreadsheet shows names rightly; no cell can become a formula there.
    """
    results = list(results)
    tasks = dict.fromkeys(task["task"] for result in results for task in result["tasks"])
    fixed = ["student", "key", "file", "status", "points", "max points"]
    header = [*fixed, *(f"task {task}" if task in (*fixed, "review") else task for task in tasks), "review"]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow([_cell(title) for title in header])
        for result in results:
            missing = result["status"] == "missing"
            got = {task["task"]: shown_points(task["points"]) for task in result["tasks"] if not missing}
            row = [*(_cell(result[name]) for name in ("student", "key", "file")), status(result)]
            row += ["" if missing else shown_points(result["points"]), shown_points(result["max_points"])]
            row += [*(got.get(task, "") for task in tasks), _cell("; ".join(result.get("review", ())))]
            writer.writerow(row)
    return Path(path)


def _cell(text: str) -> str:
    # A spreadsheet may split at another sign than the comma: what follows such a sign could be a formula too.
    return safe_cell(re.sub(r"([;,|\t]\s*)(?=[=+\-@＝＋－＠])", r"\1'", _line(text, 2000)))


def write_gradescope(result: Mapping, path: str | Path) -> Path:
    """Write Gradescope's results.json of one submission: a test a check, all visible to the student."""
    tests = []
    for number, task in enumerate(result["tasks"], 1):
        for index, check in enumerate(task["checks"], 1):
            tests.append({
                "name": _line(f"{task['task']}: {check['title']}"), "number": f"{number}.{index}",
                "score": float(check["points"]), "max_score": float(check["max_points"]),
                "status": "passed" if check["passed"] else "failed", "output": visible(check["message"]),
                "output_format": "text", "visibility": "visible",
            })  # fmt: skip
    errors = [f"{task['task']}: {task['error']}" for task in result["tasks"] if task["error"]]
    said = "\n".join(filter(None, [_headline(result), *errors, *result.get("notes", ())]))
    return write_json(path, {
        "score": float(result["points"]), "output": visible(said), "output_format": "text",
        "test_output_format": "text", "visibility": "visible", "stdout_visibility": "hidden", "tests": tests,
    })  # fmt: skip


def _headline(result: Mapping) -> str:
    """Tell what happened to the submission as a whole, for the student; nothing where it was simply graded."""
    if result["status"] == "unreadable":
        return f"Your file could not be read as a notebook: {'; '.join(result['review'])}."
    return _HEADLINES.get(result["status"], "")


@functools.cache
def _templates() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters |= {"visible": visible, "line": _line, "points": shown_points}
    found.filters["percent"] = lambda fraction: f"{100 * fraction:.0f}%"
    found.filters["address"] = lambda key: urllib.parse.quote(visible(key), safe="")
    return found


def feedback_html(result: Mapping, *, title: str) -> str:
    """Return the page that a student gets: points, and per task what was right and what to think about.

    It shows nothing of the checks but their titles and messages, and nothing that is meant for the grader only.
    """
    printed = visible(result.get("printed", ""))
    there = result["status"] not in ("unreadable", "not graded", "missing")
    return _templates().get_template("feedback.html").render(
        result=result, title=title, headline=_headline(result), share=_share(result["points"], result["max_points"]),
        tasks=[_task(task) for task in result["tasks"]] if there else [],
        printed=printed[:MAX_PRINTED].rstrip("\n"), cut=max(0, len(printed) - MAX_PRINTED),
    )  # fmt: skip


def _task(task: Mapping) -> dict:
    """Return a task for its student's page. A message that all failed checks share is said once, above them."""
    failed = [check for check in task["checks"] if not check["passed"]]
    messages = {check["message"] for check in failed}
    shared = messages.pop() if len(failed) > 1 and len(messages) == 1 else ""
    if task["state"] == "absent":
        state, mark = "answer not found", "none"
        shared = shared or f"There is no answer cell that defines {task['task']}. Do not delete or rename it."
    elif task["state"] == "not attempted":
        state, mark, shared = "not attempted", "none", "The answer cell is still the one that was handed out."
    elif not failed and task["checks"]:
        state, mark = "all checks passed", "good"
    else:
        state, mark = f"{len(failed)} of {len(task['checks'])} checks failed", "some" if task["points"] > 0 else "bad"
    checks = [{**check, "message": "" if shared else check["message"]} for check in task["checks"]]
    if task["error"] and task["error"] in shared:
        shared = ""
    share = _share(task["points"], task["max_points"])
    return {**task, "label": state, "mark": mark, "shared": shared, "checks": checks, "share": share}


def for_student(result: Mapping) -> dict:
    """Return a result without what only the teacher sees: the answers, and what came of each call."""
    hidden = ("answers", "killed")
    tasks = [
        {**task, "checks": [{k: v for k, v in check.items() if k != "detail"} for check in task["checks"]]}
        for task in result["tasks"]
    ]
    return {**{key: value for key, value in result.items() if key not in hidden}, "tasks": tasks}


def markdown(result: Mapping, title: str) -> str:
    """Return a result as Markdown, for a continuous integration; nothing in it becomes a link, a picture or HTML."""

    def text(value: object) -> str:
        return re.sub(r"([\\`*_{}\[\]()<>#+!|~@:])", r"\\\1", _line(value, 300))

    rows = [f"## {text(title)}: {shown_points(result['points'])} of {shown_points(result['max_points'])} points", ""]
    rows += [*(f"- {text(reason)}" for reason in _reasons(result)), "", "| task | points | |", "|---|---|---|"]
    for task in result["tasks"]:
        failed = dict.fromkeys(text(check["message"]) for check in task["checks"] if not check["passed"])
        points = f"{shown_points(task['points'])} / {shown_points(task['max_points'])}"
        rows.append(f"| {text(task['task'])} | {points} | {'<br>'.join(failed) or 'all checks passed'} |")
    return "\n".join(rows)


def _lost(results: Iterable[Mapping]) -> list[dict]:
    """Per student the checks that cost points, with the last call and what came of it."""
    rows = []
    for result in results:
        if checks := [check for check in _attempted(result) if not check["passed"]]:
            rows.append({"key": result["key"], "student": result["student"], "checks": checks})
    return rows


def _attempted(result: Mapping) -> Iterator[dict]:
    """Give the checks of the tasks that were attempted, each with its task."""
    for task in result["tasks"]:
        if task["state"] == "attempted":
            yield from ({**check, "task": task["task"]} for check in task["checks"])


def summary_html(results: Iterable[Mapping], pairs: Iterable, *, title: str, meta: Mapping | None = None) -> str:
    """Return the grader's page: how the class did, which checks fail, which submissions need a look.

    pairs: what `similar.near_identical` found. meta: how the batch was made (seed, versions …), shown at the end.
    """
    results, pairs = list(results), list(pairs)
    there = [result for result in results if result["status"] != "missing"]
    counts = Counter(status(result) for result in results)
    points = [float(result["points"]) for result in there]
    names = {result["key"]: result["student"] for result in results}
    look = [(result, _reasons(result)) for result in there if status(result) != "graded"]
    look.sort(key=lambda item: (-STATUSES.index(status(item[0])), item[0]["key"]))
    return _templates().get_template("summary.html").render(
        title=title, results=there, names=names, status=status, look=look, reasons=_reasons, lost=_lost(there),
        missing=[result for result in results if result["status"] == "missing"],
        counts=[(name, counts[name]) for name in STATUSES if counts[name]],
        max_points=max((float(result["max_points"]) for result in results), default=0.0),
        mean=statistics.fmean(points) if points else 0.0, median=statistics.median(points) if points else 0.0,
        bars=_histogram([_share(result["points"], result["max_points"]) for result in there]),
        tasks=_by_task(there), failing=_failing(there), pairs=pairs[:MAX_PAIRS], more_pairs=len(pairs[MAX_PAIRS:]),
        meta=meta or {},
    )  # fmt: skip


def _reasons(result: Mapping) -> list[str]:
    why = [_WHY[result["status"]]] if result["status"] in _WHY else []
    return [*why, *result.get("review", ())]


def _share(points: float, of: float) -> float:
    return min(1.0, max(0.0, float(points) / float(of))) if of else 0.0


def _by_task(results: list[Mapping]) -> list[dict]:
    found = defaultdict(list)
    for task in (task for result in results for task in result["tasks"]):
        found[task["task"]].append(task)
    return [
        {
            "task": name, "mean": statistics.fmean(_share(t["points"], t["max_points"]) for t in tasks),
            "full": sum(t["points"] >= t["max_points"] for t in tasks), "of": len(tasks),
            "untried": sum(t["state"] != "attempted" for t in tasks),
        }
        for name, tasks in found.items()
    ]  # fmt: skip


def _failing(results: list[Mapping]) -> list[dict]:
    """Return the checks that failed where the task was attempted, the commonest first, with their commonest message."""
    messages, titles, tried = defaultdict(Counter), {}, Counter()
    for check in (check for result in results for check in _attempted(result)):
        key = (check["task"], check["check"])
        titles[key] = check["title"]
        tried[key] += 1
        if not check["passed"]:
            messages[key][check["message"]] += 1
    rows = []
    for key, found in messages.items():
        row = {"task": key[0], "title": titles[key], "count": sum(found.values()), "of": tried[key]}
        commonest = min(found, key=lambda text: (-found[text], text))
        rows.append({**row, "message": commonest, "same": found[commonest]})
    return sorted(rows, key=lambda row: (-row["count"], row["task"], row["title"]))


def _histogram(shares: list[float]) -> list[dict]:
    """Return the bars of the distribution: submissions per tenth of the points; full marks belong to the last one."""
    tenths = Counter(min(9, math.floor(10 * share + 1e-9)) for share in shares)
    top = max(tenths.values(), default=1)
    return [{"count": tenths[i], "height": tenths[i] / top, "low": 10 * i, "high": 10 * i + 10} for i in range(10)]
