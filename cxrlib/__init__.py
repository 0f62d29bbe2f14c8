"""cxrlib: deep learning on chest X-rays, by measuring.

Everything a chapter uses is here: ``cxr.load``, ``cxr.audit``, ``cxr.split``, ``cxr.recipes``,
``cxr.build``, ``cxr.fit``, ``cxr.evaluate``, ``cxr.explain``, ``cxr.Run``.
"""

from __future__ import annotations

import importlib

from ._torchvision import heal_at_import

__version__ = "0.1.0"

# Public name -> the module a reader finds it in. Modules load on first use, so that `import cxrlib` stays quick.
_HOME = {
    "CxrDataset": "data",
    "load": "data",
    "split": "data",
    "audit": "data",
    "Audit": "data",
    "build": "recipe",
    "build_model": "models",
    "freeze": "models",
    "unfreeze": "models",
    "summary": "models",
    "save_model": "models",
    "load_model": "models",
    "Augment": "augment",
    "Recipe": "recipe",
    "recipes": "recipe",
    "fit": "train",
    "History": "history",
    "Run": "run",
    "predict": "_predict",
    "evaluate": "metrics",
    "Report": "metrics",
    "best_threshold": "metrics",
    "explain": "cam",
    "score_maps": "localization",
    "MapScores": "localization",
    "CamInspector": "widgets",
    "reported": "source_projects",
}
_MODULES = (
    "augment",
    "calibration",
    "cam",
    "data",
    "ensemble",
    "experiment",
    "localization",
    "metrics",
    "models",
    "phantom",
    "plot",
    "shortcut",
    "train",
    "widgets",
)

__all__ = [*_HOME, "plot", "phantom", "__version__"]

heal_at_import()


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'cxrlib' has no attribute {name!r}; public names: {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
