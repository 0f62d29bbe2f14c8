"""Let a mismatched torchvision be imported.

A CPU build of torch beside a CUDA build of torchvision (a common result of a plain ``pip install``) makes ``import
torchvision`` stop with *operator torchvision::nms does not exist*: the compiled part cannot be loaded, and the import
then describes operators that were never defined. Image classification needs only the Python part, so it is enough to
define the missing operators before the first import. They raise a readable error if anything ever calls them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
from functools import partial
from pathlib import Path


class _Healer:
    """Heals at the first import of torchvision, not before: `import cxrlib` alone need not load torch."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Heal before the usual finders look for torchvision."""
        if name == "torchvision":
            heal()
        return None  # the usual finders go on


def heal_at_import() -> None:
    """Call `heal` when torchvision is imported for the first time."""
    if _Healer not in sys.meta_path and "torchvision" not in sys.modules:
        sys.meta_path.insert(0, _Healer)


# Both operators that torchvision describes from Python share this signature.
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DESCRIBED = re.compile(r"""(?:register_fake|impl_abstract)\(\s*["']torchvision::(\w+)["']""")
_MESSAGE = (
    "torchvision::{name} is not available: the compiled part of this torchvision could not be loaded, "
    "because it was built for another build of torch (for example CUDA against CPU). Install torch and torchvision "
    "from the same source; models and transforms work without it."
)

# A torch.library.Library takes its operators with it when it is collected, so it is kept here.
_library = None


def heal() -> tuple[str, ...]:
    """Define the operators without which ``import torchvision`` fails on this machine; return their names.

    Does nothing when torchvision is absent, already imported, or healthy. Costs a few milliseconds.
    """
    global _library
    if _Healer in sys.meta_path:
        sys.meta_path.remove(_Healer)  # once is enough, and the search below would call it again
    # On Windows torchvision prepares the search path of its DLLs itself: a failure seen from here proves nothing.
    if _library is not None or "torchvision" in sys.modules or sys.platform == "win32":
        return ()
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return ()
    import torch

    folder = Path(next(iter(spec.submodule_search_locations)))
    for file in sorted(folder.glob("_C*.so")):
        with contextlib.suppress(OSError, ImportError, RuntimeError):
            torch.ops.load_library(str(file))
            return ()
    file = folder / "_meta_registrations.py"
    described = _DESCRIBED.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    missing = tuple(name for name in dict.fromkeys(described) if not hasattr(torch.ops.torchvision, name))
    if missing:
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            _library.define(name + _SCHEMA)
            for key in ("CPU", "CUDA"):
                _library.impl(name, partial(_unavailable, name), key)
    return missing


def _unavailable(name: str, *args: object) -> None:
    raise RuntimeError(_MESSAGE.format(name=name))
