"""The source projects' experiments, run again: what `cxr reproduce` does.

``sources`` holds what the projects did and the recipes that repeat it, ``plan`` the list of the runs, ``run`` carries
them out and records them, ``compare`` says how far a record and its source are apart, and what differed.
"""

from .compare import differing, used, why
from .plan import PLAN, Row, recipes, select
from .run import NOT_RUN, Outcome, command, reproduce
from .sources import settings

__all__ = [
    "NOT_RUN", "PLAN", "Outcome", "Row", "command", "differing", "recipes", "reproduce", "select", "settings", "used",
    "why",
]  # fmt: skip
