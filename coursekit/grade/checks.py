"""What the checks of an exercise are written with.

A check is a function of `student` and `rng`. `student.NAME(...)` calls the student's function inside the sandbox and
returns plain values; the check compares them out here. It passes when it returns, and fails with an AssertionError
whose message names the mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

if not __debug__:
    raise ImportError("the checks are assert statements: run Python without -O and without PYTHONOPTIMIZE")


def check(task: str, points: float = 1) -> Callable:
    """Mark a function as a check of `task`. Its docstring's first line is the title that students see."""
    if points <= 0:
        raise ValueError(f"points: give a number above 0, got {points!r}")

    def mark(function: Callable) -> Callable:
        if not (function.__doc__ or "").strip():
            raise ValueError(f"the check {function.__name__} needs a docstring: it is the title that students see")
        function.check_of, function.check_points = task, float(points)
        return function

    return mark


def array(value: object, shape: tuple[int | None, ...] | None = None, what: str = "the result") -> np.ndarray:
    """`value` as a float64 array, or an AssertionError that says what it is instead.

    shape: the lengths asked for; None stands for any length.
    """
    found = _numbers(value)
    assert found is not None, f"{what} should be an array of numbers, but it is {describe(value)}"
    if shape is not None:
        fits = found.ndim == len(shape) and all(n is None or n == m for n, m in zip(shape, found.shape, strict=True))
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        assert fits, f"{what} should have the shape {wanted}, but it has {found.shape}"
    return found


def number(value: object, what: str = "the result") -> float:
    """`value` as a float, or an AssertionError that says what it is instead."""
    found = _numbers(value)
    assert found is not None and found.size == 1, f"{what} should be one number, but it is {describe(value)}"
    return float(found.reshape(()))


def close(
    got: object,
    want: object,
    what: str = "the result",
    mistakes: Mapping[str, object] | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> None:
    """Pass when `got` is close to `want`; else raise an AssertionError that names the mistake where it is known.

    mistakes: what a known wrong idea would have returned, by its description: the first that equals `got` is named.
    """
    want = np.asarray(want, dtype=np.float64)
    got = np.float64(number(got, what)) if want.ndim == 0 else array(got, want.shape, what)
    if np.allclose(got, want, rtol=rtol, atol=atol, equal_nan=True):
        return
    for mistake, value in (mistakes or {}).items():
        value = np.asarray(value, dtype=np.float64)
        if value.shape == want.shape and np.allclose(got, value, rtol=rtol, atol=atol, equal_nan=True):
            raise AssertionError(f"{what} is wrong: {mistake}")
    if not np.isfinite(got).all() and np.isfinite(want).all():
        raise AssertionError(f"{what} holds a value that is not a finite number (nan or inf)")
    share = float(np.mean(~np.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)))
    detail = f" (got {float(got):.6g})" if want.ndim == 0 else f" ({share:.0%} of the values)"
    raise AssertionError(f"{what} is not what was asked for{detail}")


def _numbers(value: object) -> np.ndarray | None:
    if isinstance(value, (str, bytes, dict)) or value is None:
        return None
    try:
        found = np.asarray(value)
        return found.astype(np.float64) if found.dtype.kind in "biuf" else None
    except (ValueError, TypeError, OverflowError):
        return None


def describe(value: object) -> str:
    """Return a value in a few words, for a message: its kind and size.

    Never a text: it could hold the inputs that the function was called with, and students read the message.
    """
    if value is None:
        return "None (is there a return statement?)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'dictionary'} of {len(value)}"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, int) and abs(value) >= 10**6:
        return "a large whole number"
    return f"{type(value).__name__} {value:.6g}" if isinstance(value, float) else f"{type(value).__name__} {value!r}"
