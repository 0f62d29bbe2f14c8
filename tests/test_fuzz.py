"""The short form of `make fuzz`, and that the fuzzer notices what it is there to notice."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fuzzer watches a process as Linux lets it")

PLANTED = """
import ctypes, sys
from tools.fuzz_targets import Target

def odd(rng):
    return str(rng.randrange(1000)).encode()

def refuse(case, folder):
    if int(case) % 2:
        raise ValueError(f"{int(case)} is odd: give an even number")

def key_error(case, folder):
    {}["b"]

def bare(case, folder):
    int("no number")

def silent(case, folder):
    raise ValueError

def endless(case, folder):
    while True:
        pass

def greedy(case, folder):
    bytearray(20 * 2**30)

def large(case, folder):
    b"x" * (150 * 2**20)

def crash(case, folder):
    ctypes.string_at(0)

def leave(case, folder):
    sys.exit(0)

def deep(case, folder):
    deep(case, folder)

TARGETS = {f.__name__: Target(f.__name__, 1, f, odd, modules=(), megabytes=100) for f in (
    refuse, key_error, bare, silent, endless, greedy, large, crash, leave, deep)}
"""


def run(*options):
    return subprocess.run(
        [sys.executable, "-m", "tools.fuzz", *map(str, options)], cwd=ROOT, capture_output=True, text=True, timeout=400
    )


def rows(done) -> dict[str, dict]:
    """The table that was printed: target -> column -> value."""
    head, *lines = (re.split(r"\s{2,}", line.strip()) for line in done.stdout.partition("survived")[0].splitlines())
    return {line[0]: dict(zip(head, line, strict=True)) for line in lines}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Two inputs for each planted fault."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "planted.py").write_text(PLANTED)
    done = run("--targets", folder / "planted.py", "--inputs", 10, "--keep", folder / "kept")
    return folder, done


@pytest.mark.slow
def test_a_few_hundred_bad_inputs_are_survived(tmp_path):
    done = run("--inputs", 200, "--keep", tmp_path, "--seed", 12)
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(done)
    assert {"image", "dicom", "folder", "checkpoint", "notebook", "roster", "resume", "recipe"} <= set(found)
    assert all(int(row["inputs"]) > 0 and row["findings"] == "0" for row in found.values())
    inputs = sum(int(row["inputs"]) for row in found.values())
    assert inputs >= 200 and f"survived {inputs} of {inputs} inputs" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault, says",
    [
        ("key_error", "KeyError is not an answer"),
        ("bare", "was not raised on purpose"),
        ("silent", "has no message"),
        ("endless", "no answer after 5 s"),
        ("greedy", "MemoryError"),
        ("large", "MB of memory"),
        ("crash", "SIGSEGV"),
        ("leave", "SystemExit"),
        ("deep", "RecursionError"),
    ],
)
def test_a_planted_fault_is_found(planted, fault, says):
    folder, done = planted
    assert done.returncode == 1 and rows(done)[fault]["findings"] == "1"
    line = next(line for line in done.stderr.splitlines() if line.startswith(f"{fault}-0-000000.case"))
    assert says in line
    assert (folder / "kept" / f"{fault}-0-000000.case").read_bytes().isdigit()


@pytest.mark.slow
def test_the_run_goes_on_after_a_fault_and_counts(planted):
    _, done = planted
    found = rows(done)
    assert found["refuse"]["findings"] == "0" and len(found) == 10
    assert "survived 1 of 10 inputs" in done.stdout


@pytest.mark.slow
def test_a_saved_input_is_run_again(planted):
    folder, _ = planted
    done = run("--targets", folder / "planted.py", "--replay", folder / "kept" / "crash-0-000000.case")
    assert done.returncode == 1 and "SIGSEGV" in done.stderr
    (folder / "refuse-by-hand.case").write_bytes(b"7")
    done = run("--targets", folder / "planted.py", "--replay", folder / "refuse-by-hand.case")
    assert done.returncode == 0 and "refused 7 is odd" in done.stderr


def test_the_same_seed_makes_the_same_inputs():
    from tools.fuzz_targets import TARGETS

    for name in ("image", "roster"):
        cases = [TARGETS[name].case(5, i) for i in range(6)]
        assert cases == [TARGETS[name].case(5, i) for i in range(6)]
        assert cases != [TARGETS[name].case(6, i) for i in range(6)] and len(set(cases)) > 3


def test_a_target_that_is_not_there_is_named(tmp_path):
    done = run("--only", "nothing")
    assert done.returncode == 2 and "there is no target nothing" in done.stderr


def test_the_recorded_run_survived_ten_thousand_inputs():
    record = json.loads((ROOT / "benchmarks" / "fuzz.json").read_text(encoding="utf-8"))
    assert record["inputs"] >= 10_000 and record["survived"] == record["inputs"]
    assert record["inputs"] == sum(row["inputs"] for row in record["targets"])
    assert all(row["slowest_seconds"] < record["limit_seconds"] for row in record["targets"])
