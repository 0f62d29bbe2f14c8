"""Grade exercises without trusting the submission.

A submission's answer cells run in a sandbox; what its functions return is checked outside, on fresh inputs. `cxr grade`
is the command; `grade_batch` is the function behind it.
"""

from .batch import Batch, grade_batch
from .exercise import Exercise, list_exercises, load_exercise
from .sandbox import Limits, SandboxFailed, SandboxMissing, find_sandbox
from .verdict import judge

__all__ = [
    "Batch", "Exercise", "Limits", "SandboxFailed", "SandboxMissing", "find_sandbox", "grade_batch", "judge",
    "list_exercises", "load_exercise",
]  # fmt: skip
