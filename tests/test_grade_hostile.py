"""Submissions that want a mark they did not earn, or harm. Each is graded in the sandbox, as `cxr grade` does it."""

import base64
import copy
import io
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest

from coursekit.grade import Exercise, Limits, grade_batch, judge
from coursekit.grade.inside import codec

QUICK = Limits(cell=4, call=3, total=40)
ROOT = Path(__file__).resolve().parents[1]
SECRET = "a-secret-that-only-the-check-knows"

CHECKS = f'''
"""Checks of a small exercise."""
import numpy as np
from coursekit.grade.checks import array, check, close, number

NEVER_SHOWN = "{SECRET}"

@check("double", points=2)
def doubles_numbers(student, rng):
    """Numbers are doubled."""
    x = rng.normal(size=5)
    close(student.double(x), 2 * x, "double(x)", {{"it was squared": x**2}})

@check("double", points=1)
def doubles_nothing(student, rng):
    """An empty array stays empty."""
    assert array(student.double(np.zeros(0)), (0,)).size == 0

@check("total", points=3)
def sums(student, rng):
    """The sum of a list."""
    x = rng.integers(0, 100, 7)
    close(student.total(x.tolist()), x.sum(), "total(x)")
'''
ANSWERS = {"double": "def double(x):\n    return 2 * np.asarray(x)", "total": "def total(x):\n    return sum(x)"}


def cell(source, grade_id="", kind="given", tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    if grade_id:
        metadata["nbgrader"] = {
            "schema_version": 3,
            "grade_id": grade_id,
            "solution": kind == "answer",
            "task": False,
            "grade": kind == "test",
            "locked": kind != "answer",
        }
    made = nbformat.v4.new_code_cell(source, metadata=metadata)
    made["id"] = grade_id or "own"
    return made


def small_exercise() -> Exercise:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Small", id="text"),
            cell("import numpy as np", "given_1"),
            cell("def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()", "double", "answer"),
            cell("assert np.all(double(np.ones(2)) == 2), 'not doubled'", "test_double", "test"),
            cell("def total(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()", "total", "answer"),
            cell("assert total([1, 2]) == 3, f'got {total([1, 2])}'", "test_total", "test"),
        ]
    )
    return Exercise("00_small", "Small", nbformat.writes(notebook), CHECKS, tuple(ANSWERS.items()))


EXERCISE = small_exercise()


def submission(double=ANSWERS["double"], total=ANSWERS["total"], before=(), after=()) -> bytes:
    """A notebook with these answers and cells of the student's own before and after them."""
    notebook = json.loads(EXERCISE.with_answers({"double": double, "total": total}))
    own = [[dict(cell(source)) for source in sources] for sources in (before, after)]
    notebook["cells"][1:1], notebook["cells"][len(notebook["cells"]) :] = own
    return json.dumps(notebook).encode()


def edited(change) -> bytes:
    """A full submission whose notebook was changed by `change(notebook)`."""
    notebook = copy.deepcopy(json.loads(submission()))
    change(notebook)
    return json.dumps(notebook).encode()


def grade(data: bytes, **settings) -> dict:
    return judge(EXERCISE, data, seed=7, limits=settings.pop("limits", QUICK), **settings)


def told(result: dict) -> str:
    """All of a result but what only the teacher sees: the answers, and what came of each call."""
    tasks = [{**task, "checks": [{**check, "detail": ""} for check in task["checks"]]} for task in result["tasks"]]
    return json.dumps({**result, "answers": {}, "tasks": tasks})


def points(result: dict) -> dict[str, float]:
    return {task["task"]: task["points"] for task in result["tasks"]}


@pytest.fixture(autouse=True)
def _sandbox(sandbox):
    return sandbox


# --- code that does not end, or ends too early

ENDLESS = "while True:\n    pass"
STUBBORN = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"


def indent(source: str) -> str:
    return source.replace("\n", "\n    ")


def in_function(source: str) -> str:
    return f"def double(x):\n    import os, sys, time\n    {indent(source)}\n    return 2 * x"


NEVER_DONE = {"loop": ENDLESS, "stubborn": STUBBORN, "sleep": "import time; time.sleep(1000)"}


@pytest.mark.parametrize(
    ("where", "source"),
    [
        pytest.param(
            where,
            source,
            id=f"{name} {where}",
            marks=pytest.mark.slow if where != "function" and name != "stubborn" else (),
        )
        for where in ("function", "answer cell", "own cell")
        for name, source in NEVER_DONE.items()
    ],
)
def test_an_endless_loop_costs_its_own_task_only(where, source):
    limits = Limits(cell=1.5, call=1.5, total=40)
    if where == "function":
        result = grade(submission(double=in_function(source)), limits=limits)
    elif where == "answer cell":
        result = grade(submission(double=f"{ANSWERS['double']}\n{source}"), limits=limits)
    else:
        result = grade(submission(after=[source]), limits=limits)
    assert result["status"] == "timeout"
    assert points(result) == {"double": 3 if where == "own cell" else 0, "total": 3}
    assert any("did not end within" in reason for reason in result["review"])


def test_the_total_time_is_limited_too():
    slow = ["import time; time.sleep(1)"] * 300
    started = time.monotonic()
    result = grade(submission(before=slow), limits=Limits(cell=5, call=5, total=4))
    assert time.monotonic() - started < 150, "it slept to the end"
    assert (result["status"], result["points"]) == ("timeout", 0)


@pytest.mark.parametrize(
    "source",
    [
        "sys.exit()",
        "sys.exit(0)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "raise BaseException('x')",
        "raise GeneratorExit",
    ],
)
def test_leaving_by_an_exception_is_an_error_like_any_other(source):
    result = grade(submission(double=in_function(source)))
    assert result["status"] == "graded" and points(result) == {"double": 0, "total": 3}
    result = grade(submission(before=[f"import sys\n{source}"]))
    assert result["status"] == "graded" and result["points"] == 6


@pytest.mark.parametrize(
    "source",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "os.abort()",
        "os.close(1); os.close(2)",
        "import ctypes; ctypes.string_at(0)",
        "os.execv('/bin/true', ['true'])",
        "[os.close(fd) for fd in range(3, 200) if not os.system('') and 0]; os.closerange(0, 250)",
    ],
)
def test_ending_the_process_costs_its_own_task_only(source):
    result = grade(submission(double=in_function(source)))
    assert points(result)["total"] == 3
    if "os.close(1)" not in source:  # closing its own output harms nobody
        assert result["status"] == "crashed" and points(result)["double"] == 0
    result = grade(submission(before=[f"import os\n{source}"]))
    assert result["points"] == 6 and (result["status"] == "crashed" or "os.close(1)" in source)


# --- processes, memory, files


@pytest.mark.parametrize(
    "source",
    [
        "while True:\n    os.fork()",
        "pid = os.fork()\nif pid == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)",
        "import subprocess; subprocess.Popen(['sleep', '600'])",
        "import multiprocessing; multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,)).start()",
        "os.posix_spawn('/bin/sleep', ['sleep', '600'], {})",
    ],
    ids=["fork bomb", "double fork", "subprocess", "multiprocessing", "posix_spawn"],
)
def test_no_process_is_started_and_none_survives(source):
    result = grade(submission(double=in_function(source)), limits=MARKED)
    assert points(result) == {"double": 0, "total": 3}
    message = result["tasks"][0]["checks"][0]["message"]
    assert "PermissionError" in message or "OSError" in message or "BlockingIOError" in message, message
    assert not running("sleep 600") and not running(MARK)


def test_threads_do_not_survive_their_grading():
    source = "import threading, time\nfor _ in range(8):\n    threading.Thread(target=time.sleep, args=(600,)).start()"
    result = grade(submission(before=[source]), limits=MARKED)
    assert result["points"] == 6
    assert not running(MARK)


# limits of no other test, by which the processes of this one are known
MARKED = Limits(cell=4, call=3, total=40 + os.getpid() % 1000, files=63)
MARK = f'"CPU": {int(MARKED.total) + 1}'


def running(words: str) -> list[str]:
    """Command lines of processes in which the words stand, zombies left out."""
    time.sleep(0.3)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if " Z " not in (folder / "stat").read_text():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [line for line in found if words in line]


def wait_for(happened, seconds: float = 60) -> bool:
    """Whether it happens within a time that is long on any machine."""
    until = time.monotonic() + seconds
    while not (yes := happened()) and time.monotonic() < until:
        time.sleep(0.1)
    return bool(yes)


@pytest.mark.parametrize("gigabytes", [3, 100])
def test_memory_is_limited(gigabytes):
    source = f"block = np.ones({gigabytes} * 2**30, dtype=np.uint8)"
    result = grade(submission(double=in_function(source)))
    assert points(result) == {"double": 0, "total": 3}
    assert "MemoryError" in result["tasks"][0]["checks"][0]["message"]


def test_two_hundred_megabytes_of_print_are_cut():
    source = "for _ in range(200):\n    print('x' * 2**20)"
    result = grade(submission(before=[source]), limits=Limits(cell=30, call=3, total=60))
    assert (result["status"], result["points"]) == ("graded", 6)
    assert 1000 < len(result["printed"]) <= 4100
    result = grade(submission(double=in_function(source)), limits=Limits(cell=30, call=30, total=60))
    assert result["points"] == 6


def test_a_ten_gigabyte_file_is_not_written():
    source = "with open('/tmp/home/big', 'wb') as f:\n    for _ in range(10 * 1024):\n        f.write(bytes(2**20))"
    result = grade(submission(double=in_function(source)))
    assert points(result) == {"double": 0, "total": 3}
    many = "for i in range(1000):\n    with open(f'/tmp/home/{i}', 'wb') as f:\n        f.write(bytes(2**20))"
    assert points(grade(submission(double=in_function(many)))) == {"double": 0, "total": 3}


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/outside",
        "/etc/passwd",
        "/course/cxrlib/cam.py",
        "/usr/bin/x",
        "/dev/shm/../x",
        str(Path(__file__)),
        os.path.expanduser("~/x"),
        "/proc/sys/kernel/hostname",
    ],
)
def test_nothing_outside_is_changed(path, tmp_path):
    source = f"import os\nos.makedirs(os.path.dirname({path!r}), exist_ok=True)\nopen({path!r}, 'a').write('x')"
    before = Path(path).stat().st_mtime_ns if Path(path).exists() else None
    assert grade(submission(before=[source]))["points"] == 6
    assert (Path(path).stat().st_mtime_ns if Path(path).exists() else None) == before


# --- reading what is not theirs


def test_the_graders_files_other_submissions_and_the_environment_are_out_of_sight(tmp_path, monkeypatch):
    monkeypatch.setenv("CANVAS_TOKEN", "token-of-the-teacher")
    (tmp_path / "other.ipynb").write_bytes(submission(total="def total(x):\n    return 'my secret answer'"))
    look = f"""
import glob, os
seen = [p for p in ({str(tmp_path)!r}, {str(Path(__file__))!r}, os.path.expanduser("~/.bashrc"), "/etc/shadow",
                    "/etc/passwd", "/root", "/home") if os.path.exists(p) and os.access(p, os.R_OK)
        and (os.path.isfile(p) or [n for n in os.listdir(p) if not n.startswith(".")])]
words = [os.environ.get("CANVAS_TOKEN", ""), *seen]
for pid in glob.glob("/proc/[0-9]*"):
    try:
        words.append(open(pid + "/cmdline").read() + open(pid + "/environ").read())
    except OSError:
        pass
for place in ("/course", "/tmp", {str(ROOT)!r}):
    words += glob.glob(place + "/**/*_checks.py", recursive=True) + glob.glob(place + "/**/solutions", recursive=True)
print("SEEN", words)
"""
    result = grade(submission(before=[look]), limits=Limits(cell=60, call=5, total=90))
    assert result["points"] == 6 and "SEEN" in result["printed"]
    for word in (
        "token-of-the-teacher",
        str(tmp_path),
        "shadow",
        "_checks.py",
        "solutions",
        Path(__file__).name,
        SECRET,
    ):
        assert word not in result["printed"]


@pytest.mark.parametrize(
    "source",
    [
        "import inspect, gc\nprint('FOUND', [o for o in gc.get_objects() if 'check' in repr(type(o)).lower()][:3])",
        "import sys\nframe = sys._getframe()\nwhile frame:\n    print('FOUND', frame.f_code.co_filename, str(frame.f_locals))\n"
        "    frame = frame.f_back",
        "import sys\nprint('FOUND', sys.argv, list(sys.modules))",
    ],
)
def test_stack_and_object_inspection_find_no_check(source):
    result = grade(submission(before=[source], double=f"{ANSWERS['double']}"))
    assert result["points"] == 6 and "FOUND" in result["printed"]
    for word in (SECRET, "doubles_numbers", "rng.normal"):
        assert word not in result["printed"]


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/1/mem",
        "/proc/1/oom_score_adj",
        "/proc/self/mem",
        "/proc/mtrr",
    ],
)
def test_no_kernel_setting_and_no_other_process_is_open_for_writing(path):
    """Also not for the superuser: core_pattern names a program that the kernel runs outside."""
    result = grade(submission(before=[f"import os\nos.open({path!r}, os.O_WRONLY)\nprint('OPEN')", "print('HERE')"]))
    assert "HERE" in result["printed"] and "OPEN" not in result["printed"]


# a function that finds the runner's own objects, and so knows the question's number
INSIDE = """
def double(x):
    import json, os, struct, sys, time
    frame = sys._getframe()
    while "replies" not in frame.f_locals:
        frame = frame.f_back
    request, codec, replies = (frame.f_locals[name] for name in ("request", "codec", "replies"))
    def say(header):
        header = json.dumps({"id": request["id"], **header}).encode() if isinstance(header, dict) else header
        replies.write(struct.pack(">QQ", len(header), 0) + header)
        replies.flush()
        os._exit(0)
    BODY
"""


@pytest.mark.parametrize(
    "body",
    [
        "return f'LEAK {x}'",
        "return ['LEAK', x]",
        "return ['LEAK']",
        "return {'LEAK': 'LEAK'}",
        "return np.array(['LEAK'])",
        "raise codec.CodecError('a value LEAK')",
        "raise codec.CodecError('a Tensor; LEAK')",
        "raise codec.CodecError('more than 1 LEAK')",
        "say({'error': {'kind': 'value', 'text': 'a whole number LEAK'}})",
        "say({'error': {'kind': 'LEAK', 'text': 'LEAK', 'cell': 'LEAK', 'line': 'LEAK'}})",
        "say({'error': 'LEAK'})",
        "say({'value': {'a': 'LEAK', 's': []}})",
        "say({'value': 'LEAK'})",
        "say({'LEAK': 1})",
        "say(b'LEAK')",
        "os.write(2, b'bwrap: LEAK'.ljust(500)); time.sleep(0.3); os._exit(1)",
    ],
)
def test_the_runners_own_words_carry_no_inputs_out(body):
    result = grade(submission(double=INSIDE.replace("BODY", body)))
    assert points(result) == {"double": 0, "total": 3} and "LEAK" not in told(result)


@pytest.mark.parametrize("number", [123456789012, -98765432109, 10**40, 1234567.890123])
def test_a_number_in_a_message_is_rounded(number):
    result = grade(submission(double=f"def double(x):\n    return {number}"))
    assert str(number)[:9] not in told(result)


def test_a_new_process_tells_nothing_of_what_the_old_one_was_asked():
    """The clock goes on: what a call was asked decides when it ends its process, and the next process can print when."""
    clock = (
        "import time\nprint('FIRST' if time.time() < START + 2 else 'SECOND')\nif time.time() > START + 2:\n    1 / 0"
    )
    clock = clock.replace("START", repr(time.time() + 1))
    result = grade(
        submission(double=in_function("time.sleep(2.9); os._exit(0)"), before=[clock]),
        limits=Limits(cell=4, call=5, total=40),
    )
    assert "FIRST" in result["printed"] and "SECOND" not in result["printed"] and not result["notes"]
    assert points(result) == {"double": 0, "total": 3}


def test_inputs_do_not_come_back_in_the_feedback():
    """What the function learns when it is called cannot be carried out: not by prints, errors, or types named after it."""
    leaks = [
        "print('LEAK', x)",
        "raise ValueError(f'LEAK {x}')",
        "raise type(f'LEAK{len(x)}', (Exception,), {})('LEAK')",
        "return type(f'LEAK{len(x)}', (), {})()",
        "import warnings; warnings.warn(f'LEAK {x}')",
        "return np.zeros(1, dtype=[('LEAK', 'f4')])",
        "return {('LEAK',): 1}",
        "sys.stderr.write('LEAK')",
    ]
    for leak in leaks:
        result = grade(submission(double=f"import sys\ndef double(x):\n    {leak}\n    return 2 * x"))
        assert "LEAK" not in told(result), leak


def test_no_network():
    source = """
import socket, urllib.request
for attempt in (lambda: socket.create_connection(("1.1.1.1", 53), 2), lambda: socket.socket(socket.AF_INET),
                lambda: socket.socket(socket.AF_UNIX), lambda: socket.socket(40, socket.SOCK_STREAM),
                lambda: urllib.request.urlopen("http://127.0.0.1", timeout=2), lambda: socket.getaddrinfo("example.org", 80)):
    try:
        attempt()
        print("REACHED")
    except OSError as error:
        print("stopped", type(error).__name__)
"""
    result = grade(submission(before=[source]), limits=Limits(cell=30, call=3, total=60))
    assert result["points"] == 6
    assert result["printed"].count("stopped") == 6 and "REACHED" not in result["printed"]


# --- patched judges: nothing that is patched inside decides


@pytest.mark.parametrize(
    "patch",
    [
        "import numpy as np\nnp.allclose = np.array_equal = lambda *a, **k: True\nnp.testing.assert_allclose = lambda *a, **k: 0",
        "import builtins\nbuiltins.AssertionError = type('E', (Exception,), {})\n__debug__",
        "import json\njson.dumps = lambda *a, **k: '{}'\njson.loads = lambda *a, **k: {'points': 100}",
        "import sys\nsys.modules['codec'].pack = lambda message: b''",
        "import sys\nfor name in list(sys.modules):\n    if name.startswith(('cxrlib', 'codec')):\n        del sys.modules[name]",
        "import ast, sys\nclass T(ast.NodeTransformer):\n    def visit_Assert(self, node):\n        return ast.Pass()\n"
        "import builtins\nold = builtins.compile\nbuiltins.compile = lambda s, *a, **k: old(T().visit(ast.parse(s)), *a, **k)",
        "import gc, types\nfor f in gc.get_objects():\n    if isinstance(f, types.FunctionType) and f.__name__ == 'describe':\n"
        "        f.__code__ = (lambda *a: {'kind': 'x'}).__code__",
    ],
    ids=["numpy", "assert", "json", "codec", "modules", "ast", "runner"],
)
def test_patching_earns_nothing(patch):
    wrong = "def double(x):\n    return x\n"
    result = grade(submission(double=wrong, total="def total(x):\n    return 0", before=[patch]))
    assert result["points"] <= 1  # doubling nothing is right for x as well
    assert not {"doubles_numbers", "sums"} & passed(result)


def passed(result: dict) -> set[str]:
    return {check["check"] for task in result["tasks"] for check in task["checks"] if check["passed"]}


@pytest.mark.parametrize(
    "answer",
    [
        "class Yes:\n    def __eq__(self, other):\n        return True\n    __array__ = lambda self, *a, **k: np.zeros(5)\n"
        "def double(x):\n    return Yes()",
        "class Liar(np.ndarray):\n    def __eq__(self, other):\n        return np.True_\n    def __array_ufunc__(self, *a, **k):\n"
        "        return np.True_\n    def tobytes(self, *a):\n        return b'1' * 400\n    shape = property(lambda self: (5,))\n"
        "def double(x):\n    return np.zeros(3).view(Liar)",
        "class L(list):\n    def __iter__(self):\n        return iter([])\n    def __len__(self):\n        return 5\n"
        "def double(x):\n    return L([1])",
        "class F(float):\n    def __float__(self):\n        return float('nan')\ndef double(x):\n    return F(1)",
        "def double(x):\n    return np.full(len(x), np.nan)",
        "def double(x):\n    return np.full(len(x), np.inf)",
        "def double(x):\n    return [True] * len(x)",
        "def double(x):\n    return 'np.array([0])'",
        "def double(x):\n    return x * 1j",
        "def double(x):\n    return double",
        "def double(x):\n    return (v for v in x)",
        "def double(x):\n    y = []\n    y.append(y)\n    return y",
        "def double(x):\n    return 10**1000",
        "def double(x):\n    return np.array([object()] * 5)",
        "def double(x):\n    return np.broadcast_to(np.float64(0), (2**20, 2**20))",
        "def double(x):\n    return 'x' * 2**28",
        "import pickle\nclass P:\n    def __reduce__(self):\n        return (print, ('PWNED',))\n"
        "def double(x):\n    return pickle.dumps(P())",
    ],
)
def test_values_that_lie_earn_nothing(answer):
    result = grade(submission(double=answer))
    assert "doubles_numbers" not in passed(result)
    assert points(result)["total"] == 3
    message = result["tasks"][0]["checks"][0]["message"]
    assert message and len(message) < 300


REPLY = """
import os, struct, json
for fd in range(3, 20):
    for number in ("0", 0, 1):
        header = json.dumps({"id": number, "value": {"a": "<f8", "s": [0]}, "ok": True}).encode()
        try:
            os.write(fd, struct.pack(">QQ", len(header), 0) + header)
        except OSError:
            pass
"""


def test_replies_written_before_the_question_count_for_nothing():
    result = grade(submission(before=[REPLY], double="def double(x):\n    return x"))
    assert "doubles_numbers" not in passed(result) and result["status"] in ("graded", "crashed")
    result = grade(submission(double=f"def double(x):\n    {indent(REPLY)}\n    return x"))
    assert "doubles_numbers" not in passed(result)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 16,
        b"\xff" * 16,
        b"\0" * 7 + b"\x02" + b"\0" * 8 + b"{}",
        b"\0" * 7 + b"\x04" + b"\0" * 8 + b"null",
        b"\0" * 6 + b"\xff\xff" + b"\0" * 8 + b"[" * 65535,
    ],
)
def test_garbage_on_the_reply_channel_is_a_crash_not_an_error(raw):
    source = (
        f"import os, base64\nraw = base64.b64decode({base64.b64encode(raw)!r})\nfor fd in range(3, 20):\n"
        "    try:\n        os.write(fd, raw)\n    except OSError:\n        pass\nos._exit(0)"
    )
    result = grade(submission(before=[source]))
    assert result["status"] == "crashed" and result["points"] == 6


@pytest.mark.parametrize(
    "fields",
    [
        {"value": {"a": "|O8", "s": [1]}},
        {"value": {"a": "<f8", "s": [-1]}},
        {"value": {"a": "<f8", "s": [2**40, 2**40]}},
        {"value": {"a": "<f8", "s": [1.5]}},
        {"value": {"a": "<f8", "s": [1] * 70}},
        {"value": {"u": [1], "s": [1]}},
        {"value": {"f": "x"}},
        {"value": {"z": 1}},
        {"value": {"d": 1}},
        {"value": {"u": "abc", "s": [3, 3]}},
        {"value": {"a": ["<f8"], "s": 1}},
        {"value": {"a": "<f8", "s": [3]}},
        {"value": [[]] * codec.MAX_PARTS},
        {
            "value": {"u": ["x" * 10**6, *[""] * 10**4], "s": [10**4 + 1]}
        },  # 40 GB, if every text gets the longest one's space
    ],
)
def test_a_frame_is_believed_only_when_every_part_fits(fields):
    with pytest.raises(codec.CodecError):
        codec.unpack(json.dumps(fields).encode(), b"")


def test_values_cross_unchanged():
    message = {
        "value": [
            None,
            True,
            3,
            -2.5,
            float("inf"),
            "é\0",
            {"k": [1, 2]},
            np.arange(6.0).reshape(2, 3),
            np.array([True, False]),
            np.array(["a", "bc"]),
            np.float32(1.5),
            np.zeros((0, 3), np.uint8),
        ]
    }
    frame = codec.pack(message)
    header, body = codec.lengths(frame[:16])
    back = codec.unpack(frame[16 : 16 + header], frame[16 + header :])["value"]
    assert len(frame) == 16 + header + body
    for sent, got in zip(message["value"], back, strict=True):
        np.testing.assert_array_equal(sent, got)
        assert not isinstance(sent, np.ndarray) or got.shape == sent.shape


@pytest.mark.parametrize("body", ["say({'id': {'a': '<f8', 's': [0]}, 'ok': True})", "say({'id': ['x'], 'ok': True})"])
def test_a_number_that_is_no_text_is_not_the_questions_number(body):
    result = grade(submission(before=[INSIDE.replace("BODY", body).replace("double", "speak") + "speak(1)"]))
    assert (result["status"], result["points"]) == ("crashed", 6)


def test_time_that_runs_out_while_a_process_starts_is_the_students(monkeypatch):
    """Not a failure of the sandbox, for which the submission would be judged again."""
    from coursekit.grade import student

    class Late(student.Session):
        def start(self, *names):
            if started:
                time.sleep(max(0.0, self.deadline - time.monotonic()) + 0.05)
            super().start(*names)
            started.append(names)

    started = []
    monkeypatch.setattr(student, "Session", Late)
    result = grade(submission(double=in_function("os._exit(0)")), limits=Limits(cell=4, call=3, total=3))
    assert result["status"] == "timeout" and points(result) == {"double": 0, "total": 0}


# --- notebooks that were changed


def drop_metadata(notebook):
    for one in notebook["cells"]:
        one["metadata"] = {}


def drop_names(notebook):
    drop_metadata(notebook)
    for one in notebook["cells"]:
        one.pop("id", None)


def of(notebook, grade_id):
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def easy_tests(notebook):
    of(notebook, "test_double")["source"] = "assert True"


def no_tests(notebook):
    notebook["cells"] = [c for c in notebook["cells"] if not c["metadata"].get("nbgrader", {}).get("grade")]


def only_answers(notebook):
    notebook["cells"] = [of(notebook, "double"), of(notebook, "total")]


def doubled(notebook):
    notebook["cells"] = [one for one in notebook["cells"] for _ in range(2)]


def reordered(notebook):
    notebook["cells"].reverse()


def swapped(notebook):
    """Each answer stands in the other's cell."""
    first, second = of(notebook, "double"), of(notebook, "total")
    first["source"], second["source"] = second["source"], first["source"]


def in_two_cells(notebook):
    place = notebook["cells"].index(of(notebook, "double"))
    of(notebook, "double")["source"] = "def double(x):\n    return helper(x, 2)"
    notebook["cells"].insert(place + 1, dict(cell("def helper(x, k):\n    return k * np.asarray(x)")))


def helper_above(notebook):
    place = notebook["cells"].index(of(notebook, "double"))
    of(notebook, "double")["source"] = "def double(x):\n    return helper(x, FACTOR)"
    notebook["cells"].insert(place, dict(cell("FACTOR = 2\ndef helper(x, k):\n    return k * np.asarray(x)")))


def nameless_in_two_cells(notebook):
    in_two_cells(notebook)
    drop_names(notebook)


def source_as_lines(notebook):
    for one in notebook["cells"]:
        one["source"] = one["source"].splitlines(keepends=True) if isinstance(one["source"], str) else one["source"]


def strange_fields(notebook):
    for one in notebook["cells"]:
        one["metadata"].update(collapsed=True, outputId="x" * 100, colab={"base_uri": "https://localhost"})
    notebook["metadata"]["signature"] = ["x"]
    notebook["cells"].insert(0, {"cell_type": "raw", "source": "x", "metadata": None})
    notebook["cells"].insert(0, {"cell_type": "alien"})
    notebook["cells"].insert(0, {"cell_type": "markdown"})


def magics(notebook):
    notebook["cells"].insert(1, dict(cell("%matplotlib inline\n!pip install torch\n%pip install x\ndisplay(1)")))


def warns(notebook):
    notebook["cells"].insert(1, dict(cell("import warnings, sys\nwarnings.warn('old')\nprint('x', file=sys.stderr)")))


def unrelated_error(notebook):
    notebook["cells"].insert(1, dict(cell("raise RuntimeError('not finished')")))
    notebook["cells"].append(dict(cell("1 / 0")))


@pytest.mark.parametrize(
    "change",
    [
        drop_metadata,
        drop_names,
        easy_tests,
        no_tests,
        only_answers,
        doubled,
        reordered,
        swapped,
        in_two_cells,
        helper_above,
        nameless_in_two_cells,
        source_as_lines,
        strange_fields,
        magics,
        warns,
        unrelated_error,
    ],
    ids=lambda f: f.__name__,
)
def test_a_right_answer_counts_however_the_notebook_looks(change):
    result = grade(edited(change))
    assert (result["status"], points(result)) == ("graded", {"double": 3, "total": 3}), result


@pytest.mark.parametrize("change", [drop_metadata, drop_names, easy_tests, no_tests, doubled, reordered])
def test_a_wrong_answer_does_not_count_however_the_notebook_looks(change):
    notebook = json.loads(submission(double="def double(x):\n    return x"))
    change(notebook)
    result = grade(json.dumps(notebook).encode())
    assert points(result)["total"] == 3 and "doubles_numbers" not in passed(result)


def test_an_answer_that_is_gone_is_named():
    result = grade(edited(lambda nb: nb["cells"].remove(of(nb, "total"))))
    assert points(result) == {"double": 3, "total": 0}
    assert [task["state"] for task in result["tasks"]] == ["attempted", "absent"]
    assert any("total" in reason for reason in result["review"])


def test_two_different_answers_to_one_task_are_pointed_out():
    def twice(notebook):
        place = notebook["cells"].index(of(notebook, "double"))
        notebook["cells"].insert(place + 1, {**of(notebook, "double"), "source": "def double(x):\n    return x"})

    result = grade(edited(twice))
    assert "doubles_numbers" not in passed(result)  # the last one counts, as it does in a notebook
    assert any("double" in reason and "last" in reason for reason in result["review"])


def test_missing_imports_are_the_answers_own_error():
    result = grade(submission(double="def double(x):\n    return pandas.Series(x) * 2"))
    assert points(result) == {"double": 0, "total": 3}
    assert "NameError (the name pandas) in line 2" in result["tasks"][0]["checks"][0]["message"]
    result = grade(submission(double="import a_package_nobody_has\ndef double(x):\n    return 2 * x"))
    assert "ModuleNotFoundError" in result["tasks"][0]["error"] and points(result)["total"] == 3


def test_a_syntax_error_is_reported_with_its_line():
    result = grade(submission(double="def double(x):\n    return 2 *"))
    assert "SyntaxError, line 2" in result["tasks"][0]["error"] and points(result)["total"] == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"{", "JSON"),
        (b"[]", "cells"),
        (b'"x"', "cells"),
        (b"{}", "cells"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "nested"),
        (b'{"cells": 3}', "cells"),
        (b'{"cells": [1, null, []]}', "no"),
        (b'{"worksheets": []}', "old format"),
        (b'{"cells": [{"cell_type": "code", "source": {"a": 1}}]}', "not text"),
        (json.dumps({"cells": [{"cell_type": "code", "source": "x"}] * 5000}).encode(), "5000 cells"),
        (json.dumps({"cells": [{"cell_type": "code", "source": "x" * 10**6}]}).encode(), "1000000 characters"),
        (json.dumps({"cells": [{"cell_type": "code", "source": "import os"}]}).encode(), "another exercise"),
    ],
)
def test_what_is_no_submission_is_unreadable_with_the_reason(data, words):
    result = grade(data)
    assert (result["status"], result["points"]) == ("unreadable", 0)
    assert words in result["review"][0], result["review"]


# --- a whole batch of them


def test_no_submission_stops_the_batch_or_touches_another(tmp_path):
    handed_in = tmp_path / "handed in"
    handed_in.mkdir()
    nasty = {
        "good": submission(),
        "loop": submission(double=in_function(ENDLESS)),
        "exit": submission(before=["import os; os._exit(0)"]),
        "empty": b"",
        "broken": b"{",
        "script": submission(double="def double(x):\n    '''<script>alert(1)</script>'''\n    return x"),
        "<b>bold": submission(before=["print('<script>alert(2)</script>')"]),
        "ünïcödé 名前 \u202egpj": submission(),
        "x" * 230: submission(),
        "=cmd|' calc'!A0": submission(),
        "-": b"",
        "two words": submission(),
    }
    for name, data in nasty.items():
        (handed_in / f"{name}.ipynb").write_bytes(data)
    with open(handed_in / "huge.ipynb", "wb") as file:
        file.truncate(500 * 2**20)
    (handed_in / "link.ipynb").symlink_to("/etc/passwd")
    before = {path: path.lstat().st_mtime_ns for path in handed_in.iterdir()}
    batch = grade_batch(
        EXERCISE, handed_in, tmp_path / "out", jobs=2, seed=3, limits=Limits(cell=3, call=2, total=30), progress=False
    )
    assert {path: path.lstat().st_mtime_ns for path in handed_in.iterdir()} == before
    assert len(batch.results) == len(before)
    found = {result["file"].split("/")[-1].removesuffix(".ipynb"): result for result in batch.results}
    full = ("good", "exit", "<b>bold", "ünïcödé 名前 \u202egpj", "x" * 230, "=cmd|' calc'!A0", "two words")
    assert all(found[name]["points"] == 6 for name in full), {n: found.get(n, {}).get("points") for n in full}
    assert found["loop"]["status"] == "timeout" and found["loop"]["points"] == 3
    assert all(found[name]["status"] == "unreadable" for name in ("empty", "broken", "huge", "link"))
    for page in [*(tmp_path / "out" / "feedback").iterdir(), tmp_path / "out" / "summary.html"]:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and SECRET not in text and "rng.normal" not in text and "\u202e" not in text
    assert "root:" not in (tmp_path / "out" / "results" / f"{found['link']['key']}.json").read_text(encoding="utf-8")


def test_zip_bombs_and_traversals_are_rows_too(tmp_path):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("zeros.ipynb", bytes(100 * 2**20))
    packed = tmp_path / "all.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("anna_1_2_00_small.ipynb", submission())
        archive.writestr("../../evil_3_4_00_small.ipynb", submission())
        archive.writestr("/abs/olute_5_6_00_small.ipynb", submission())
        archive.writestr("bomb_7_8_00_small.ipynb", bytes(200 * 2**20))
        archive.writestr("nested_9_10_work.zip", bomb.getvalue())
    before = set(tmp_path.parent.rglob("*"))
    batch = grade_batch(EXERCISE, packed, tmp_path / "out", jobs=2, seed=3, limits=QUICK, progress=False)
    assert {
        path for path in set(tmp_path.parent.rglob("*")) - before if tmp_path / "out" not in (path, *path.parents)
    } == set()
    assert sorted(result["points"] for result in batch.results)[-3:] == [6, 6, 6]
    assert [result["status"] for result in batch.results].count("unreadable") == len(batch.results) - 3 >= 1


# --- the grader itself


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_jobs(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(4):
        (tmp_path / "in" / f"s{i}.ipynb").write_bytes(submission(double=f"def double(x):\n    return {i} * x"))
    trees = []
    for jobs in (1, 4):
        grade_batch(EXERCISE, tmp_path / "in", tmp_path / f"out{jobs}", jobs=jobs, seed=5, progress=False)
        trees.append(
            {
                path.relative_to(tmp_path / f"out{jobs}"): path.read_bytes()
                for path in (tmp_path / f"out{jobs}").rglob("*")
                if path.is_file()
            }
        )
    assert trees[0] == trees[1] and len(trees[0]) > 8


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(tmp_path):
    from distributed import LocalCluster

    (tmp_path / "in").mkdir()
    for i in range(6):
        (tmp_path / "in" / f"s{i}.ipynb").write_bytes(submission(double=f"def double(x):\n    return {i} * x"))
    grade_batch(EXERCISE, tmp_path / "in", tmp_path / "here", seed=5, progress=False)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        grade_batch(
            EXERCISE, tmp_path / "in", tmp_path / "there", seed=5, dask=cluster.scheduler_address, progress=False
        )
    for path in (tmp_path / "here").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "there" / path.relative_to(tmp_path / "here")).read_bytes(), path


def test_a_batch_that_was_stopped_goes_on(tmp_path):
    strange = [
        lambda result: '{"exercise": ',  # not what an atomic write leaves, but a full disk might
        lambda result: "[]",
        lambda result: '{"digest": 3, "review": 3}',
        lambda result: json.dumps({"digest": result["digest"]}),
        lambda result: "[" * 100_000,
        lambda result: json.dumps({**result, "tasks": [{**result["tasks"][0], "points": "1"}]}),
        lambda result: json.dumps({**result, "student": "\ud800"}),
        lambda result: json.dumps({**result, "points": float("nan")}),
    ]
    (tmp_path / "in").mkdir()
    for i in range(len(strange) + 2):
        (tmp_path / "in" / f"s{i}.ipynb").write_bytes(submission())
    first = grade_batch(EXERCISE, tmp_path / "in", tmp_path / "out", jobs=1, progress=False)
    with pytest.raises(ValueError, match="--resume"):
        grade_batch(EXERCISE, tmp_path / "in", tmp_path / "out", progress=False)
    files = [tmp_path / "out" / "results" / f"{result['key']}.json" for result in first.results]
    for result, file, write in zip(first.results[:-2], files[:-2], strange, strict=True):
        file.write_text(write(result))
    (tmp_path / "in" / f"s{len(strange) + 1}.ipynb").write_bytes(submission(total="def total(x):\n    return 0"))
    written = files[-2].stat().st_mtime_ns
    again = grade_batch(EXERCISE, tmp_path / "in", tmp_path / "out", resume=True, jobs=1, progress=False)
    assert files[-2].stat().st_mtime_ns == written
    assert again.results[:-1] == first.results[:-1] and again.results[-1]["points"] == 3


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"exercise": "x", "seed": 1}',
        '{"exercise": "x", "digest": "x", "seed": "1"}',
        "\ud800",
    ],
)
def test_a_damaged_record_of_a_batch_is_named(tmp_path, text):
    (tmp_path / "a.ipynb").write_bytes(submission())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "batch.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"out/batch\.json "):
        grade_batch(EXERCISE, tmp_path / "a.ipynb", tmp_path / "out", resume=True, progress=False)


def test_two_graders_do_not_begin_one_batch_with_two_seeds(tmp_path, monkeypatch):
    from coursekit.grade import batch

    (tmp_path / "a.ipynb").write_bytes(submission())
    out = tmp_path / "out"

    def other_first(most):
        (out / "results").mkdir(parents=True)  # the other one is past its look at the folder too
        return 3

    monkeypatch.setattr(batch.secrets, "randbelow", other_first)
    with pytest.raises(ValueError, match="another grader"):
        grade_batch(EXERCISE, tmp_path / "a.ipynb", out, progress=False)


def test_fifos_and_devices_do_not_hold_up_the_batch(tmp_path):
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "good.ipynb").write_bytes(submission())
    (tmp_path / "zero.ipynb").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to(tmp_path)
    results = {r["key"]: r for r in grade_batch(EXERCISE, tmp_path, tmp_path / "out", jobs=1, progress=False).results}
    assert results["good"]["points"] == 6
    assert all(results[key]["status"] == "unreadable" for key in ("pipe", "zero", "circle"))


def test_nothing_is_graded_when_the_reference_fails(tmp_path):
    broken = Exercise(
        **{**EXERCISE.__dict__, "reference": (("double", "def double(x):\n    return x"), EXERCISE.reference[1])}
    )
    (tmp_path / "a.ipynb").write_bytes(submission())
    with pytest.raises(ValueError, match="reference answers get 4 of 6.*doubles_numbers"):
        grade_batch(broken, tmp_path, tmp_path / "out", jobs=1, progress=False)
    lenient = Exercise(
        **{
            **EXERCISE.__dict__,
            "checks_source": CHECKS
            + '''
@check("total")
def lenient(student, rng):
    """Passes whatever happens."""
''',
        }
    )
    with pytest.raises(ValueError, match="never asked"):
        grade_batch(lenient, tmp_path, tmp_path / "out2", jobs=1, progress=False)


def test_without_a_sandbox_grading_is_refused(tmp_path, monkeypatch):
    from coursekit.grade import SandboxMissing, find_sandbox

    monkeypatch.setenv("PATH", str(tmp_path))
    find_sandbox.cache_clear()
    try:
        with pytest.raises(SandboxMissing, match="apt install bubblewrap"):
            judge(EXERCISE, submission())
        (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        (tmp_path / "bwrap").chmod(0o755)
        with pytest.raises(SandboxMissing, match=r"No permissions.*container"):
            judge(EXERCISE, submission())
        assert judge(EXERCISE, submission(), unsafe=True)["points"] == 6
    finally:
        find_sandbox.cache_clear()


def test_the_sandbox_dies_with_the_grader(tmp_path):
    """kill -9 of the grader leaves no student's process behind."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "slow.ipynb").write_bytes(submission(before=["import time; time.sleep(555)"]))
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_grade_hostile import EXERCISE, grade_batch\n"
        "from coursekit.grade import Limits, batch\n"
        "batch.prove = lambda *_: None\n"  # so that the one sandbox is the sleeping submission's
        f"grade_batch(EXERCISE, {str(tmp_path / 'in')!r}, {str(tmp_path / 'out')!r}, limits=Limits(total={MARKED.total}),"
        " progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    assert wait_for(lambda: running(MARK) or process.poll() is not None) and process.poll() is None
    time.sleep(1)
    process.kill()
    process.wait()
    assert wait_for(lambda: not running(MARK))


def test_an_interrupt_does_not_wait_for_a_sleeping_submission(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "slow.ipynb").write_bytes(submission(before=["import time; time.sleep(500)"]))
    # a shell starts what it puts into the background with interrupts ignored, and children inherit that
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_grade_hostile import EXERCISE, Limits, grade_batch\n"
        "from coursekit.grade import batch\n"
        "batch.prove = lambda *_: None\n"
        f"grade_batch(EXERCISE, {str(tmp_path / 'in')!r}, {str(tmp_path / 'out')!r}, jobs=1, progress=False,\n"
        f"            limits=Limits(total={MARKED.total}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert wait_for(lambda: running(MARK) or process.poll() is not None) and process.poll() is None
    time.sleep(1)
    process.send_signal(2)
    assert b"KeyboardInterrupt" in process.communicate(timeout=60)[1]  # it sleeps for 500 s
    assert wait_for(lambda: not running(MARK))


SEEDED = '''
import time
import torch
from coursekit.grade.checks import check, close

@check("total", points=3)
def draws(student, rng):
    """Two draws with an answer between them."""
    torch.manual_seed(1)
    torch.rand(3)
    student.total([1, 2])
    time.sleep(0.05)
    close(torch.rand(3).numpy(), torch.rand(6, generator=torch.Generator().manual_seed(1))[3:].numpy(), "the draws")

@check("double")
def asked(student, rng):
    """It is asked at all."""
    student.double(3)
'''


def test_checks_that_use_torchs_generator_do_not_disturb_each_other(tmp_path):
    seeded = Exercise(**{**EXERCISE.__dict__, "checks_source": SEEDED})
    (tmp_path / "in").mkdir()
    for i in range(6):
        (tmp_path / "in" / f"s{i}.ipynb").write_bytes(submission())
    batch = grade_batch(seeded, tmp_path / "in", tmp_path / "out", jobs=2, seed=1, progress=False)
    assert {result["points"] for result in batch.results} == {4}


def test_a_process_of_the_grader_that_dies_costs_nobody_a_grade(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(4):
        (tmp_path / "in" / f"s{i}.ipynb").write_bytes(submission(before=["import time; time.sleep(1.5)"]))
    killed = []

    def kill_one():
        while not (tmp_path / "out" / "results").exists() or not list((tmp_path / "out" / "results").iterdir()):
            time.sleep(0.1)
        time.sleep(0.5)
        victim = multiprocessing.active_children()[0]
        victim.kill()
        killed.append(victim.pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    batch = grade_batch(EXERCISE, tmp_path / "in", tmp_path / "out", jobs=1, seed=1, progress=False)
    killer.join()
    assert killed and [result["points"] for result in batch.results] == [6] * 4


def test_a_process_left_dying_by_one_task_is_not_the_next_tasks_fault():
    """The first answer sends a proper error frame and lets the process end a moment later."""
    dying = INSIDE.replace("os._exit(0)", "(__import__('threading').Timer(0.02, os._exit, [0]).start())")
    for _ in range(5):
        result = grade(
            submission(double=dying.replace("BODY", "say({'error': {'kind': 'ValueError'}}); time.sleep(9)"))
        )
        assert points(result) == {"double": 0, "total": 3}
