# ruff: noqa: E501 - a submission in one line
"""Right answers in unusual notebooks get all points, and what looks right from outside only gets none."""

import json
from pathlib import Path

import pytest
from test_grade_hostile import ANSWERS, EXERCISE, cell, edited, grade, points, submission

from coursekit.grade import Exercise, Limits, judge, load_exercise

DOUBLE, TOTAL = ANSWERS["double"], ANSWERS["total"]
ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases" / "submissions"
INDEX = json.loads((CASES / "index.json").read_text(encoding="utf-8")) if CASES.is_dir() else []


@pytest.fixture(autouse=True)
def _sandbox(sandbox):
    return sandbox


# An own cell before the answers, which gives FACTOR = 2, and an answer that needs it.
FACTORS = {
    "%%time": "%%time\nFACTOR = 2",
    "%%timeit": "FACTOR = 2\n%timeit -n 1 -r 1 FACTOR + 1",
    "%%capture": "%%capture\nFACTOR = 2",
    "%%capture with a name": "%%capture said\nFACTOR = 2\nprint(FACTOR)",
    "%%prun": "%%prun\nFACTOR = 2",
    "%time": "%time FACTOR = 2",
    "%time with a value": "FACTOR = %time 1 + 1",
    "%matplotlib": "%matplotlib inline\nFACTOR = 2",
    "%pip": "%pip install -q torch\nFACTOR = 2",
    "!pip": "!pip install -q torch\nFACTOR = 2",
    "a shell command's output": "files = !ls\nFACTOR = 2 + len(files)",
    "a help mark": "FACTOR = 2\nnp.mean?",
    "a help mark before": "?np.mean\nFACTOR = 2",
    "a magic in a block": "if True:\n    %time FACTOR = 2",
    "await": "import asyncio\nawait asyncio.sleep(0)\nFACTOR = 2",
    "async with": "import asyncio\nasync def two():\n    return 2\nFACTOR = await two()",
    "await under a magic": "%%time\nimport asyncio\nawait asyncio.sleep(0)\nFACTOR = 2",
    "input": "name = input('your name')\nFACTOR = 2",
    "Colab's drive": "from google.colab import drive\ndrive.mount('/content/drive')\nFACTOR = 2",
    "display": "display(np.ones(3))\nFACTOR = 2",
    "get_ipython": "get_ipython().run_line_magic('matplotlib', 'inline')\nFACTOR = 2",
    "a printed error": "FACTOR = 2\n1 / 0",
    "a walrus": "if (FACTOR := 2) > 1:\n    pass",
    "with": "import contextlib\nwith contextlib.nullcontext(2) as FACTOR:\n    pass",
    "standard output replaced": "import sys, io\nsys.stdout = io.StringIO()\nFACTOR = 2",
    "standard output closed": "import sys\nsys.stdout.close()\nFACTOR = 2",
    "standard output gone": "import sys\nsys.stdout = None\nFACTOR = 2",
    "all warnings are errors": "import warnings\nwarnings.simplefilter('error')\nFACTOR = 2",
    "numpy raises": "np.seterr(all='raise')\nFACTOR = 2",
    "Windows line ends": "FACTOR = (\r\n  2\r\n)",
    "a form feed": "\x0cFACTOR = 2",
    "tabs": "if True:\n\tFACTOR = 2",
}


@pytest.mark.parametrize("name", FACTORS)
def test_an_own_cell_loses_nothing(name):
    result = grade(submission(double="def double(x):\n    return FACTOR * np.asarray(x)", before=[FACTORS[name]]))
    assert points(result) == {"double": 3, "total": 3}, [result["notes"], result["tasks"][0]["checks"]]


DOUBLES = {
    "lambda": "double = lambda x: 2 * np.asarray(x)",
    "under if": f"if True:\n    {DOUBLE.replace(chr(10), chr(10) + '    ')}",
    "under try": f"try:\n    {DOUBLE.replace(chr(10), chr(10) + '    ')}\nfinally:\n    pass",
    "functools.partial": "import functools\ndouble = functools.partial(np.multiply, 2)",
    "another name": "def twice(x):\n    return 2 * x\n\ndouble = twice",
    "a class": "class Doubler:\n    def __call__(self, x):\n        return 2 * x\n\ndouble = Doubler()",
    "a decorator": "import functools\n\ndef same(f):\n    return functools.wraps(f)(lambda *a: f(*a))\n\n@same\n"
    + DOUBLE,
    "annotations": "def double(x: 'np.ndarray') -> 'np.ndarray':\n    return 2 * x",
    "exec": f"exec({DOUBLE!r})",
    "globals": "globals()['double'] = lambda x: 2 * x",
    "np.vectorize": "def double(x):\n    return np.vectorize(lambda v: 2 * v, otypes=[float])(x) if len(x) else x",
    "a list": "def double(x):\n    return [2 * v for v in x]",
    "a tuple": "def double(x):\n    return tuple(2 * v for v in x)",
    "a generator": "def double(x):\n    yield from (2 * v for v in x)",
    "map": "def double(x):\n    return map(lambda v: 2 * v, x)",
    "a deque": "import collections\ndef double(x):\n    return collections.deque(2 * v for v in x)",
    "array.array": "import array\ndef double(x):\n    return array.array('d', [2 * v for v in x])",
    "values of a dictionary": "def double(x):\n    return {i: 2 * v for i, v in enumerate(x)}.values()",
    "a named tuple": "import collections\ndef double(x):\n    return collections.namedtuple('P', [f'v{i}' for i in range(len(x))])(*2 * x)",
    "fractions": "import fractions\ndef double(x):\n    return [2 * fractions.Fraction(float(v)) for v in x]",
    "decimals": "import decimal\ndef double(x):\n    return [2 * decimal.Decimal(float(v)) for v in x]",
    "longdouble": "def double(x):\n    return 2 * x.astype(np.longdouble)",
    "objects": "def double(x):\n    return (2 * x).astype(object)",
    "a masked array": "def double(x):\n    return np.ma.array(2 * x)",
    "a matrix's row": "def double(x):\n    return np.asarray(np.matrix(2 * x))[0] if len(x) else x",
    "a Series": "import pandas as pd\ndef double(x):\n    return pd.Series(2 * x)",
    "big endian": "def double(x):\n    return (2 * x).astype('>f8')",
    "a negative stride": "def double(x):\n    return (2 * x)[::-1][::-1]",
    "a tensor": "import torch\ndef double(x):\n    return 2 * torch.tensor(x, requires_grad=True)",
    "a thread": "from concurrent.futures import ThreadPoolExecutor\ndef double(x):\n    with ThreadPoolExecutor(4) as pool:\n        return np.array(list(pool.map(lambda v: 2 * v, x)))",
    "a cached helper": "import functools\n@functools.lru_cache\ndef two(v):\n    return 2 * v\ndef double(x):\n    return [two(v) for v in x]",
    "a magic before": f"%%time\n{DOUBLE}",
    "a help mark after": f"{DOUBLE}\n?np.mean",
    "prints": "def double(x):\n    print('π', x)\n    return 2 * x",
    "a comment about the stub": "def double(x):\n    # raise NotImplementedError()\n    return 2 * x",
}


@pytest.mark.parametrize("name", DOUBLES)
def test_an_answer_is_what_its_name_does(name):
    result = grade(submission(double=DOUBLES[name]), limits=Limits(cell=20, call=20, total=60))
    assert points(result) == {"double": 3, "total": 3}, result["tasks"][0]["checks"]


def add_to(notebook, grade_id, text, before=True):
    one = next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)
    source = "".join(one["source"])
    one["source"] = f"{text}\n{source}" if before else f"{source}\n{text}"
    return one


def forget(notebook):
    for one in notebook["cells"]:
        one["metadata"] = {}
        one.pop("id", None)


def needing_factor(notebook):
    add_to(notebook, "double", "def double(x):\n    return FACTOR * np.asarray(x)\n#", before=False)


def in_one_cell(notebook):
    notebook["cells"] = [c for c in notebook["cells"] if not c["metadata"].get("nbgrader", {}).get("solution")]
    notebook["cells"].append(dict(cell(f"{DOUBLE}\n\n{TOTAL}")))


def given(text, lost):
    def change(notebook):
        needing_factor(notebook)
        add_to(notebook, "given_1", text)
        if lost:
            forget(notebook)

    return change


def in_a_test(lost):
    def change(notebook):
        needing_factor(notebook)
        add_to(notebook, "test_double", "FACTOR = 2")
        if lost:
            forget(notebook)

    return change


def moved(notebook):
    notebook["cells"].reverse()


def below_the_stub(notebook):
    stub = json.loads(EXERCISE.notebook)["cells"][2]
    notebook["cells"].insert(2, stub)


def above_the_stub(notebook):
    stub = json.loads(EXERCISE.notebook)["cells"][2]
    stub["metadata"] = {}
    notebook["cells"].insert(4, stub)


def split(notebook):
    at = next(
        i for i, c in enumerate(notebook["cells"]) if c["metadata"].get("nbgrader", {}).get("grade_id") == "total"
    )
    half = dict(notebook["cells"][at], source="def helper(x):\n    return sum(x)")
    notebook["cells"][at] = dict(notebook["cells"][at], source="def total(x):\n    return helper(x)")
    notebook["cells"].insert(at + 1, half)


def overwritten(notebook):
    notebook["cells"].append(dict(cell("double = double(np.ones(3))\ntotal = 3")))


def helper_in_a_file(notebook):
    notebook["cells"].insert(1, dict(cell("%%writefile mine.py\nFACTOR = 2")))
    add_to(notebook, "double", "from mine import FACTOR")
    needing_factor(notebook)


CHANGES = {
    "all in one cell": in_one_cell,
    "an import in the given cell": given("FACTOR = 2", False),
    "the same without names": given("FACTOR = 2", True),
    "a constant in a test": in_a_test(False),
    "the same, without names": in_a_test(True),
    "cells in reverse order": moved,
    "below the stub": below_the_stub,
    "above the stub": above_the_stub,
    "split in two": split,
    "the name is used for the result": overwritten,
    "a module of its own": helper_in_a_file,
    "names lost": forget,
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_answer_is_found_wherever_it_is(name):
    result = grade(edited(CHANGES[name]))
    assert points(result) == {"double": 3, "total": 3}, [result["review"], result["notes"], result["tasks"]]


def test_what_a_student_changed_in_a_given_cell_is_said():
    result = grade(edited(given("FACTOR = 2", False)))
    assert any("FACTOR = 2" in note for note in result["notes"])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def double(x):\n    raise NotImplementedError()\n    return 2 * x", "still in the answer"),
        ("def double(x):\n    return x.duoble(2)", "AttributeError (the name duoble)"),
        ("def double(x):\n    return fcator * x", "NameError (the name fcator)"),
        ("def double(x):\n    return “two” * x", "type them again"),
        ("def double(x):\n    return f'{'a'}' and 2 * x", "Python 3."),
        ("def double(x):\n    return getattr(x, 'a' + str(len(x)))", "raised AttributeError in line 2"),
    ],
)
def test_a_message_says_what_is_wrong(source, words):
    assert words in grade(submission(double=source))["tasks"][0]["checks"][0]["message"]


def test_a_notebook_of_a_newer_python_says_so():
    def newer(notebook):
        notebook["metadata"]["language_info"] = {"name": "python", "version": "3.99.1"}
        add_to(notebook, "double", "def double(x):\n    return f'{'a'}'  #")

    assert "from Python 3.99" in grade(edited(newer))["tasks"][0]["error"]


# --- what looks right from outside only

WRAPPED = '''
from coursekit.grade.checks import check, close

@check("double")
def through_the_given_function(student, rng):
    """The given function doubles twice."""
    x = rng.normal(size=4)
    close(student.fourfold(x), 4 * x)

@check("total")
def sums(student, rng):
    """The sum."""
    x = rng.integers(0, 100, 7)
    close(student.total(x.tolist()), x.sum())
'''


def wrapped() -> Exercise:
    notebook = json.loads(EXERCISE.notebook)
    notebook["cells"].insert(2, dict(cell("def fourfold(x):\n    return double(double(x))", "given_2")))
    return Exercise(**{**EXERCISE.__dict__, "notebook": json.dumps(notebook), "checks_source": WRAPPED})


@pytest.mark.parametrize(
    "own",
    [
        "def fourfold(x):\n    return 4 * x",
        "globals().update(fourfold=lambda x: 4 * x)",
        "fourfold: object = lambda x: 4 * x",
        "import sys\nsys.modules['__main__'].__dict__['fourfold'] = lambda x: 4 * x",
        "def four(x):\n    return 4 * x\nfourfold.__code__ = four.__code__",
        "exec('fourfold = lambda x: 4 * x')",
        "for fourfold in [lambda x: 4 * x]:\n    pass",
        "import functools\nfourfold = functools.partial(np.multiply, 4)",
    ],
)
def test_a_given_function_is_bound_anew_for_each_call(own):
    for double, earned in (("def double(x):\n    return x", 0), (DOUBLE, 1)):
        assert points(judge(wrapped(), submission(double=double, after=[own])))["double"] == earned


def test_a_cell_of_the_students_own_can_call_a_given_function():
    result = judge(
        wrapped(), submission(after=["FOUR = fourfold(np.ones(1))[0]\nassert FOUR == 4", "print('HERE', FOUR)"])
    )
    assert result["points"] == 2 and "HERE 4" in result["printed"] and not result["notes"]


REMEMBER = '''
from coursekit.grade.checks import check, close

@check("double")
def the_same_again(student, rng):
    """The same question gets the same answer, in another process, too."""
    x = rng.normal(size=4)
    first = student.double(x)
    student.restart()
    close(student.double(x), first)

@check("total")
def sums(student, rng):
    """The sum."""
    close(student.total([1, 2]), 3)
'''


def test_an_answer_that_only_remembers_is_asked_in_another_process():
    exercise = Exercise(**{**EXERCISE.__dict__, "checks_source": REMEMBER})
    cached = "import os\nSEEN = {}\ndef double(x):\n    return SEEN.setdefault(x.tobytes(), np.frombuffer(os.urandom(4), 'u1'))"
    assert points(judge(exercise, submission(double=cached)))["double"] == 0
    assert points(judge(exercise, submission()))["double"] == 1


@pytest.mark.slow
def test_another_library_where_numpy_only_was_asked_for_is_flagged():
    exercise = load_exercise("03", ROOT)
    right = dict(exercise.reference)
    flagged = {
        "an import at the top": "from sklearn.metrics import roc_auc_score\ndef auc(a, b):\n    return roc_auc_score(a, b)",
        "an import inside": "def auc(a, b):\n    import sklearn.metrics as m\n    return m.roc_auc_score(a, b)",
        "by name": "def auc(a, b):\n    return __import__('sklearn.metrics').metrics.roc_auc_score(a, b)",
        "itself": "from sklearn.metrics import roc_auc_score\nauc = roc_auc_score",
    }
    for name, source in flagged.items():
        result = judge(exercise, exercise.with_answers({**right, "auc": source}))
        assert result["points"] == exercise.max_points and "numpy was asked for" in str(result["review"]), name
    for source in (right["auc"], "import math\nimport matplotlib.pyplot as plt\nplt.plot([1])\n" + right["auc"]):
        assert not judge(exercise, exercise.with_answers({**right, "auc": source}))["review"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "import threading, time\nthreading.stack_size(32768)\nwhile True:\n    threading.Thread(target=time.sleep, args=(99,)).start()",
            "threads",
        ),
        ("import itertools\nfor i in itertools.count():\n    open(f'/tmp/home/{i}', 'w').close()", "files"),
    ],
)
def test_threads_and_files_are_counted_from_outside(source, words):
    result = grade(submission(before=[source]), limits=Limits(cell=30, call=5, total=60))
    assert result["points"] == 6 and words in str(result["review"])


def test_nothing_about_the_machine_is_shown():
    source = "print('HERE', open('/proc/self/mountinfo').read(), __import__('sys').prefix)\nfrom numpy import nothing"
    result = grade(submission(before=[source]))
    shown = json.dumps([result["printed"], result["notes"], result["review"]])
    assert "HERE" in shown and str(ROOT) not in shown and __import__("sys").prefix not in shown


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", INDEX, ids=lambda case: f"{case['ex']}-{case['name']}")
def test_the_collected_cases(case):
    exercise = load_exercise(case["ex"], ROOT)
    data = (CASES / case["ex"] / f"{case['name']}.ipynb").read_bytes()
    result = judge(exercise, data, seed=20260101, limits=Limits(cell=60, call=60, total=250))
    # A task that is younger than the case is not in it: its points are out of reach.
    full = sum(check.points for check in exercise.checks if check.task.encode() in data)
    if case["want"] is not None:
        assert result["points"] == (full if case["want"] == "full" else case["want"])
