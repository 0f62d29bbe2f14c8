"""The class Target: one function under test, and how the input of a seed and a number is drawn for it."""

from __future__ import annotations

import functools
import importlib
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "cxrlib.augment",
    "cxrlib.cli",
    "cxrlib.data.dicom",
    "cxrlib.data._audit",
    "cxrlib.experiment",
    "coursekit.grade.batch",
    "coursekit.reproduce",
    "accelerate",
    "timm",
    "torch.optim.swa_utils",
    "pydicom.pixels",
    "pydicom.encaps",
    "torchvision",
    "matplotlib.pyplot",
    "scipy.optimize",
)
BATCH = 50  # inputs that hypothesis draws at a time


@dataclass(frozen=True)
class Target:
    """One function under test.

    share: how many of the inputs it gets, in proportion. make: Random -> input, or `strategy` for hypothesis, whose
    values become JSON (bytes and texts stay). run: input, empty folder -> nothing; it raises what the function raises.
    answers: the errors that count as an answer. names: what their text has to hold, such as the file's name. modules:
    what is imported before the clock runs. megabytes: how much memory one input may add to the process.
    """

    name: str
    share: int
    run: Callable[[bytes, Path], object]
    make: Callable[[random.Random], bytes] | None = None
    strategy: Callable[[], st.SearchStrategy] | None = None
    answers: tuple[type[BaseException], ...] = (ValueError,)
    names: str = ""
    modules: tuple[str, ...] = MODULES
    megabytes: int = 2000

    def prepare(self) -> None:
        """Return what happens once, before the memory is limited: imports, and files that inputs are made of."""
        for module in self.modules:
            importlib.import_module(module)
        self.case(0, 0)

    def case(self, seed: int, index: int) -> bytes:
        """Return the input of a seed and a number."""
        if self.make:
            return self.make(random.Random(f"{seed}/{self.name}/{index}"))
        batch = _drawn(self.name, self.strategy, seed, index // BATCH)
        value = batch[index % BATCH % len(batch)]
        if isinstance(value, bytes):
            return value
        return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=1)
def _drawn(name: str, strategy: Callable[[], st.SearchStrategy], seed: int, batch: int) -> list:
    found = []
    number = zlib.crc32(f"{seed}/{name}/{batch}".encode())

    @hypothesis.seed(number)
    @hypothesis.settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy())
    def collect(value: object):
        found.append(value)

    collect()
    return found
