"""The exercise proof: what the checks must say of the untouched notebook, the reference, wrong and unusual answers.

Every answer is judged in the sandbox, as `cxr grade` does it.
"""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from coursekit import exercises as tool
from coursekit.grade import Limits, judge, load_exercise
from coursekit.grade.exercise import read_solution
from coursekit.grade.messages import NOT_YET
from coursekit.notebooks import Site

#: The course whose exercises are proved: this one, or a private folder (`make proof COURSE=../private`).
ROOT = Path(os.environ.get("CXR_COURSE") or Path(__file__).resolve().parents[1])
NAMES = sorted(path.stem for path in (ROOT / "tests" / "answers").glob("[0-9]*.py"))


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = Site("https://github.com/someone/xrays", "main", "https://someone.github.io/xrays")
MATERIAL = {name: load(ROOT / "tests" / "answers" / f"{name}.py") for name in NAMES}
WRONG = [(name, mistake) for name in NAMES for mistake in MATERIAL[name].WRONG]
CORRECT = [(name, variant) for name in NAMES for variant in MATERIAL[name].CORRECT]


def mostly_slow(cases: list[tuple[str, str]]) -> list:
    """Each answer takes a sandbox: `make test` tries every 24th, `make proof` and `make test-slow` all."""
    return [
        pytest.param(*case, id="-".join(case).replace(" ", "_"), marks=[pytest.mark.slow] * (i % 24 > 0))
        for i, case in enumerate(cases)
    ]


def judged(sandbox, name: str, answers: dict[str, str], seed: int = 1) -> dict:
    exercise = load_exercise(name, ROOT)
    patient = Limits(cell=200, call=100, total=400)  # an answer may import torch, on a machine that is busy
    return judge(exercise, exercise.with_answers(answers), seed=seed, limits=patient)


def checks_of(result: dict) -> dict[str, dict]:
    return {check["check"]: check for task in result["tasks"] for check in task["checks"]}


def reference(name: str) -> dict[str, str]:
    return read_solution((ROOT / "solutions" / f"{name}.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_untouched_notebook_is_not_attempted_and_scores_nothing(sandbox, name):
    result = judged(sandbox, name, {})
    assert (result["status"], result["points"], result["review"]) == ("graded", 0, [])
    assert {task["state"] for task in result["tasks"]} == {"not attempted"}
    assert {check["message"] for check in checks_of(result).values()} == {NOT_YET}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [20, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 300))])
def test_the_reference_scores_everything_whatever_the_inputs(sandbox, name, seed):
    result = judged(sandbox, name, reference(name), seed)  # the other tests have seed 1
    assert not [check for check in checks_of(result).values() if not check["passed"]]
    assert (result["status"], result["review"], result["notes"]) == ("graded", [], [])
    assert result["points"] == result["max_points"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_that_was_run_is_not_attempted_either(sandbox, name):
    """A comment in the answer cell is no attempt; nor does it cost the points of another task."""
    exercise = load_exercise(name, ROOT)
    first, task = exercise.tasks[0], exercise.tasks[-1]
    stub = next(cell.source for cell in exercise.cells if cell.kind == "answer" and cell.task == task)
    result = judged(sandbox, name, {first: reference(name)[first], task: f"{stub}\n# later"})
    last = next(t for t in result["tasks"] if t["task"] == task)
    assert last["points"] == 0 and {check["message"] for check in last["checks"]} == {NOT_YET}
    assert result["points"] == sum(t["max_points"] for t in result["tasks"] if t["task"] == first != task)


@pytest.mark.parametrize(("name", "mistake"), mostly_slow(WRONG))
def test_a_wrong_answer_fails_the_check_meant_for_it_by_the_mistakes_name(sandbox, name, mistake):
    wrong = MATERIAL[name].WRONG[mistake]
    result = judged(sandbox, name, {**reference(name), wrong["task"]: wrong["code"].strip()})
    check = checks_of(result)[wrong["check"]]
    assert not check["passed"], f"{wrong['check']} lets {mistake!r} through"
    assert wrong["says"].lower() in check["message"].lower(), check["message"]
    assert result["status"] == "graded" and not result["review"], result["review"]
    others = [t for t in result["tasks"] if t["task"] != wrong["task"]]
    assert all(t["points"] == t["max_points"] for t in others), "a mistake in one task costs points in another"


@pytest.mark.parametrize(("name", "variant"), mostly_slow(CORRECT))
def test_an_unusual_correct_answer_scores_everything(sandbox, name, variant):
    correct = MATERIAL[name].CORRECT[variant]
    result = judged(sandbox, name, {**reference(name), correct["task"]: correct["code"].strip()})
    assert [check["message"] for check in checks_of(result).values() if not check["passed"]] == []


def test_every_task_of_every_exercise_has_a_wrong_answer():
    assert sorted(path.stem for path in (ROOT / "solutions").glob("[0-9]*.md")) == NAMES
    for name in NAMES:
        exercise, material = load_exercise(name, ROOT), MATERIAL[name]
        assert material.CORRECT, name
        assert {wrong["task"] for wrong in material.WRONG.values()} == set(exercise.tasks), f"{name}: a task without"


# --- the released notebooks


@pytest.mark.parametrize("name", NAMES)
def test_a_release_holds_no_solution_marker_or_check(name):
    text = (ROOT / "exercises" / f"{name}.ipynb").read_text(encoding="utf-8")
    sources = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    assert "SOLUTION" not in text and "HIDDEN" not in text
    exercise = load_exercise(name, ROOT)
    for check in exercise.checks:
        assert f"def {check.name}(" not in sources
    assert "student." not in sources and "mistakes=" not in sources and "coursekit.grade" not in sources
    for task, source in reference(name).items():
        body = source.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0]
        code = [line for line in map(str.strip, body.splitlines()) if len(line) > 30 and not line.startswith("#")]
        stub = next(cell.source for cell in exercise.cells if cell.kind == "answer" and cell.task == task)
        assert not [line for line in code if line in stub]
        assert "raise NotImplementedError()" in stub


def test_the_committed_exercises_are_what_the_solutions_give(tmp_path):
    made = tool.make_all(ROOT, tool.Site.read(), target=tmp_path)
    committed = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "exercises").glob("*")}
    assert committed == {p.name: p.read_text(encoding="utf-8") for p in made}, "run `make generated`"


@pytest.mark.parametrize("name", NAMES)
def test_the_visible_tests_pass_on_the_reference_and_fail_on_the_stub(name):
    exercise = load_exercise(name, ROOT)
    for answers, wanted in ((reference(name), 0), ({}, len(exercise.tasks))):
        notebook = json.loads(exercise.with_answers(answers))
        space: dict = {}
        failed = 0
        for cell in notebook["cells"]:
            if cell["cell_type"] != "code" or {"bootstrap", "demo"} & set(cell["metadata"].get("tags", ())):
                continue
            try:
                exec(compile("".join(cell["source"]), cell["id"], "exec"), space)
            except Exception:
                assert cell["metadata"]["nbgrader"]["grade"], cell["id"]
                failed += 1
        assert failed == wanted
