"""cxrlib: deep learning on chest X-rays, by measuring.

The steps of an experiment are here: ``cxr.load``, ``cxr.audit``, ``cxr.split``, ``cxr.recipes``, ``cxr.build``,
``cxr.fit``, ``cxr.evaluate``, ``cxr.explain``, ``cxr.Run``. What one chapter needs has a module of its own:
``cxr.phantom``, ``cxr.plot``, ``cxr.localization``, ``cxr.shortcut``, ``cxr.calibration``, ``cxr.ensemble``,
``cxr.widgets``.
"""

from __future__ import annotations

import importlib
import importlib.util

from ._torchvision import heal_at_import

__version__ = "0.1.0"

# Module -> the public names that a reader finds in it. Modules load on first use, so that `import cxrlib` stays quick.
_NAMES = {
    "data": "CxrDataset load split audit Audit near_duplicates",
    "models": "build_model freeze unfreeze summary save_model load_model",
    "recipe": "Recipe recipes build",
    "augment": "Augment",
    "train": "fit",
    "history": "History",
    "run": "Run",
    "_predict": "predict",
    "_lungs": "lungs",
    "_anatomy": "anatomy",
    "_prepare": "prepare crop_to_lungs",
    "metrics": "evaluate Report FindingsReport best_threshold",
    "cam": "explain",
    "localization": "score_maps MapScores map_energy MapEnergy",
    "widgets": "CamInspector",
    "source_projects": "reported",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [*_HOME, "plot", "phantom", "__version__"]

heal_at_import()


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    elif name[0] != "_" and importlib.util.find_spec(f"{__name__}.{name}"):
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'cxrlib' has no attribute {name!r}; public names: {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
