"""The short form of `make faults`, and whether it would notice a loss."""

import random
import sys

import pytest

from tools import faults


class _Silent:
    def update(self):
        pass


def killed(target, tmp_path, kills: int = 1) -> faults.Tally:
    return faults.kill_again_and_again(target, kills, random.Random(1), tmp_path, _Silent())


@pytest.mark.slow
@pytest.mark.parametrize("name", [t.name for t in faults.TARGETS])
def test_a_kill_loses_nothing(name, tmp_path, sandbox):
    target = next(t for t in faults.TARGETS if t.name == name)
    tally = killed(target, tmp_path)
    assert tally.done >= 1 and not tally.lost


@pytest.mark.slow
@pytest.mark.parametrize("name", faults.TRIALS)
def test_odd_surroundings_work_or_are_named(name, tmp_path, sandbox):
    assert not faults.TRIALS[name](tmp_path)


def careless(program: str) -> faults.Target:
    """A program that writes into the file `out`."""
    return faults.Target(
        "careless", 1, lambda folder: [sys.executable, "-c", program], lambda folder: (folder / "out").read_bytes()
    )


SLOWLY = "import os, time\nif not os.path.exists('out'):\n    f = open('out', 'w', buffering=1)\n"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (SLOWLY + "    for i in range(20): print(i, file=f); time.sleep(.1)", "the result differs"),
        (
            "import os, time\nassert not os.path.exists('lock')\nopen('lock', 'w')\ntime.sleep(2)\nopen('out', 'w')\n"
            "os.remove('lock')",
            "the next start failed: AssertionError",
        ),
    ],
)
def test_a_loss_is_noticed(program, says, tmp_path):
    tally = killed(careless(program), tmp_path, kills=3)
    assert any(says in text for text in tally.lost), tally.lost


def test_a_command_that_never_works_is_named(tmp_path):
    assert "undisturbed, it failed" in killed(careless("raise SystemExit('no')"), tmp_path).lost[0]


@pytest.mark.parametrize(
    ("status", "output", "wrong"),
    [
        (0, "", ""),
        (1, "Error: The disk of /x is full", ""),
        (1, "Error: something", "unclear: Error: something"),
        (1, "Traceback (most recent call last):\nOSError: full", "a traceback: OSError: full"),
    ],
)
def test_an_error_must_be_one_clear_sentence(status, output, wrong):
    assert faults.clear(status, output, "full") == wrong
