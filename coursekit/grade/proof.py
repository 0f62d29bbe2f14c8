"""The constant proof: an answer that does not look at its arguments passes no check.

It runs the checks of an exercise in this process, on answers made here: constants, what the reference returned for the
inputs of another seed, and trivial answers such as the first argument itself. No student's code is run.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from .exercise import Check, Exercise
from .inside import codec

CONSTANTS = {
    "nothing": None, "0": 0, "1": 1, "one half": 0.5, "nan": float("nan"), "an empty list": [], "an empty text": "",
    "an empty dictionary": {}, "a zero in a list": [0], "two zeros": (0, 0), "two halves": (0.5, 0.5),
    "0 and 1": (0.0, 1.0), "an empty pair": ([], []), "three numbers": (0, 1, 0.5),
    "an extreme and one half": (-1e300, 0.5),
}  # fmt: skip


class Imitation:
    """What a check sees as `student`: answers made here (task -> function), and the given cells around them."""

    def __init__(self, exercise: Exercise, answers: dict[str, Callable]) -> None:
        self._space: dict = {}
        for source in exercise.given:
            exec(compile(source, "given", "exec"), self._space)
        self._space.update(answers)

    def restart(self) -> None:
        """Do nothing: these answers remember only what the proof lets them."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args: object, **kwargs: object) -> object:
            asked = _sent({"args": list(args), "kwargs": kwargs}, inside=True)
            return _sent({"value": self._space[name](*asked["args"], **asked["kwargs"])})["value"]

        return call


def reference(exercise: Exercise) -> dict[str, Callable]:
    """Task -> the reference's function."""
    space: dict = {}
    for source in (*exercise.given, *dict(exercise.reference).values()):
        exec(compile(source, "reference", "exec"), space)
    return {task: space[task] for task in exercise.tasks}


def passes(check: Check, student: Imitation, seed: int) -> bool:
    """Whether a check passes, whatever else it does."""
    try:
        with np.errstate(all="ignore"):
            check.function(student, np.random.default_rng([seed, *check.name.encode()]))
    except Exception:  # a value that a check cannot handle earns nothing either
        return False
    return True


def unearned(exercise: Exercise, seeds: tuple[int, int] = (1, 2)) -> list[str]:
    """Return the answers that earn points without looking at their arguments; none where the checks are good.

    ``seeds`` are the one that values are recorded with, and the one that they are tried with.
    """
    found = []
    right = reference(exercise)
    for check in exercise.checks:
        recorded: list[tuple] = []
        record = {**right, check.task: _recorder(right[check.task], recorded)}
        if not passes(check, Imitation(exercise, record), seeds[0]):
            raise ValueError(f"{exercise.name}: the reference does not pass {check.name} with seed {seeds[0]}")
        for name, answer in _answers(recorded):
            if passes(check, Imitation(exercise, {**right, check.task: answer}), seeds[1]):
                found.append(f"{check.task}: {check.name} accepts {name}")
    return found


def _sent(message: dict, inside: bool = False) -> dict:
    """Return a message after its way through the wall of the sandbox."""
    frame = codec.pack(message)
    header, _ = codec.lengths(frame[: codec.LENGTHS.size])
    body = frame[codec.LENGTHS.size :]
    return codec.unpack(body[:header], body[header:], inside=inside)


def _recorder(function: Callable, recorded: list[tuple]) -> Callable:
    def recording(*args: object, **kwargs: object) -> object:
        value = function(*args, **kwargs)
        recorded.append((_shapes(args), copy.deepcopy(value), [_state(arg) for arg in args]))
        return value

    return recording


def _answers(recorded: list[tuple]) -> Iterator[tuple[str, Callable]]:
    """Answers that ignore what is in their arguments, by name."""
    for name, value in CONSTANTS.items():
        yield f"the constant {name}", lambda *_, value=value, **__: copy.copy(value)
    values = list(recorded)
    yield "the values of another seed, call by call", _replay(lambda i, args: values[i % len(values)])
    yield "the last value of another seed", _replay(lambda i, args: values[-1])
    for first in range(1, min(4, len(values))):
        later = _replay(lambda i, args, k=first: values[(i + k) % len(values)])
        yield f"the values of another seed from call {first}", later
    table = {entry[0]: entry for entry in values}
    by_shapes = _replay(lambda i, args: table.get(_shapes(args), values[0]))
    yield "the values of another seed, by the arguments' shapes", by_shapes
    for i in range(min((len(entry[0]) for entry in values), default=0)):
        yield f"argument {i + 1} itself", lambda *args, i=i, **_: args[i]
        yield f"zeros in the shape of argument {i + 1}", lambda *args, i=i, **_: np.zeros(np.shape(args[i]))
        yield f"zeros as long as argument {i + 1}", lambda *args, i=i, **_: np.zeros(_length(args[i]))
        yield f"as many zeros as argument {i + 1} says", lambda *args, i=i, **_: np.zeros(_count(args[i]))
        yield f"as many nan as argument {i + 1} says", lambda *args, i=i, **_: np.full(_count(args[i]), np.nan)
        yield f"a square of zeros by argument {i + 1}", lambda *args, i=i, **_: np.zeros(2 * (_count(args[i]),))
        yield (
            f"all numbers up to the length of argument {i + 1}, and none",
            lambda *args, i=i, **_: (np.arange(_length(args[i])), np.zeros(0, int)),
        )
        yield f"its mean twice, of argument {i + 1}", lambda *args, i=i, **_: 2 * (float(np.mean(args[i])),)
    yield "the first two arguments", lambda *args, **_: args[:2]
    yield "no change at all", lambda *_, **__: None


def _replay(pick: Callable) -> Callable:
    count = itertools.count()

    def replaying(*args: object, **_: object) -> object:
        _, value, states = pick(next(count), args)
        for arg, state in zip(args, states, strict=False):
            _restore(arg, state)
        return copy.deepcopy(value)

    return replaying


def _shapes(args: tuple) -> tuple:
    return tuple((type(arg).__name__, np.shape(arg) if not hasattr(arg, "modules") else ()) for arg in args)


def _length(value: object) -> int:
    return len(value) if hasattr(value, "__len__") else 0


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 100 else 0


def _state(value: object) -> list | None:
    """Say what an answer can change in a network: what is trainable, and which parts are in training mode."""
    if not hasattr(value, "modules"):
        return None
    return [p.requires_grad for p in value.parameters()], [m.training for m in value.modules()]


def _restore(value: object, state: list | None) -> None:
    if state is None or not hasattr(value, "modules"):
        return
    for p, trainable in zip(value.parameters(), state[0], strict=False):
        p.requires_grad_(trainable)
    if len(set(state[1])) > 1:  # all in one mode is what net.train() does, which is no memory of another seed
        for module, training in zip(value.modules(), state[1], strict=False):
            module.training = training
