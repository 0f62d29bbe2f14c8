"""One experiment from a data set and a recipe to a Run: what `cxr train` does."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from pathlib import Path

import numpy as np

from ._prepare import prepare
from .data import PROTOCOLS, CxrDataset, load, split
from .device import is_main_process
from .recipe import Recipe, build
from .run import RESULT_FORMAT, Run, public_name, score
from .train import fit

RECORDED = ("torch", "torchvision", "timm", "accelerate", "scikit-learn", "numpy", "pillow")


def run(
    source: str, recipe: Recipe, *, data: CxrDataset | None = None, root: str | Path | None = None,
    protocol: str | None = None, val: float = 0.1, by: str = "patient", folder: str | Path | None = None,
    options: dict | None = None, bootstrap: int = 1000, name: str = "", progress: bool = True,
) -> Run | None:  # fmt: skip
    """Load, split, build, train and evaluate: all is chosen on the validation split, the test split is scored once.

    Under ``torchrun`` the processes train together; the first one scores and writes, the others return None. The record
    names no folder of this machine, no file and no patient. KeyboardInterrupt says that Ctrl-C ended the training:
    nothing was scored.

    Parameters
    ----------
    source : str
        The name for ``load``, e.g. "phantom" or "folder:PATH"; ``options`` (dict) and ``root`` are passed on to it.
    recipe : Recipe
        How to train.
    data : CxrDataset, optional
        What ``load`` gave for ``source``, where it is at hand already.
    protocol, val, by : str, float, str
        How to split, see ``split``.
    folder : path, optional
        Where the run is saved, and the checkpoint; a run that was killed continues from there. None writes nothing.
    bootstrap : int
        Resamples behind the intervals.
    name : str
        Of the record; by default model, data and seed.
    progress : bool
        Show progress bars.
    """
    progress = progress and is_main_process()
    if data is None:
        data = load(source, recipe.read_size, root=root, progress=progress, **(options or {}))
    parts = split(data, val=val, by=by, seed=recipe.seed, protocol=protocol)
    train, validation, test = (prepare(part, recipe, progress) for part in parts)
    model = build(recipe, train.classes)
    checkpoint = None if folder is None else Path(folder) / "checkpoint.pt"
    history = fit(model, train, validation, recipe, checkpoint=checkpoint, progress=progress)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    if not is_main_process():
        return None
    on_validation = score(model, validation, recipe, bootstrap, progress)
    on_test = score(model, test, recipe, bootstrap, progress)  # the one time the test images are looked at
    sizes = {}
    for part, d in (("train", train), ("val", validation), ("test", test)):
        counts = {c: int((d.labels == k).sum()) for k, c in enumerate(d.classes)}
        sizes[part] = {"images": len(d), "patients": len(np.unique(d.patients)), "classes": counts}
        if recipe.crop:  # images that are taken whole: no lungs were found
            sizes[part]["not_cut"] = int((~d.lungs.any((1, 2))).sum())
    record = {
        "format": RESULT_FORMAT, "name": name or f"{recipe.model}-{public_name(source)}-seed{recipe.seed}",
        "data": {
            "source": public_name(source), "options": options or {}, "fingerprint": data.fingerprint,
            "skipped": len(data.skipped), "protocol": protocol, "val": PROTOCOLS[protocol][1] if protocol else val,
            "by": by, "splits": sizes,
        },
        "training": history.to_dict(), "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "versions": versions(), "validation": on_validation.to_dict(), "test": on_test.to_dict(),
    }  # fmt: skip
    done = Run(model, recipe, record, on_validation, on_test, history)
    if done.threshold is not None:
        at_cut = on_test.at(done.threshold, f"chosen on {len(validation)} validation images")
        record["test_at_validation_threshold"] = at_cut.to_dict()
    if folder is not None:
        done.save(folder)
    return done


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    from . import __version__

    found = {"cxrlib": __version__, "python": platform.python_version()}
    for package in RECORDED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package).split("+")[0]
    return found
