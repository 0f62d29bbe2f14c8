"""Grade exercises without trusting the submission.

A submission's answer cells run in a sandbox; what its functions return is checked outside, on fresh inputs. `cxr grade`
is the command; `grade_batch` is the function behind it.
"""

import importlib

_HOME = {
    "Exercise": "exercise",
    "list_exercises": "exercise",
    "load_exercise": "exercise",
    "Batch": "batch",
    "grade_batch": "batch",
    "judge": "verdict",
    "Limits": "sandbox",
    "SandboxFailed": "sandbox",
    "SandboxMissing": "sandbox",
    "find_sandbox": "sandbox",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
