"""One experiment from a data set and a recipe to a JSON record: what `cxr train` runs."""

from __future__ import annotations

import importlib.metadata
import inspect
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .data import PROTOCOLS, load, split
from .device import is_main_process
from .files import write_json
from .metrics import Report, best_threshold, evaluate
from .models import build_model, freeze, save_model
from .models.freeze import leaves
from .recipe import Recipe, short
from .train import History, fit

RESULT_FORMAT = 1
PREDICTIONS = "predictions.json"
RECORDED = ("torch", "torchvision", "timm", "accelerate", "scikit-learn", "numpy", "pillow")


_OPTIONS = set(inspect.signature(build_model).parameters) - {"name", "classes", "size", "seed"}


@dataclass
class Experiment:
    """A finished run: the model, how it was trained, and what it scored."""

    model: object
    history: History
    validation: Report
    test: Report
    record: dict


def build(recipe: Recipe, classes):
    """The network of a recipe, with so much of it frozen as ``recipe.trainable`` says."""
    if unknown := set(recipe.model_options) - _OPTIONS:
        raise ValueError(f"recipe: model_options has {short(sorted(unknown))}; there are {', '.join(sorted(_OPTIONS))}")
    model = build_model(recipe.model, classes, size=recipe.size, seed=recipe.seed, **recipe.model_options)
    if recipe.trainable == "all" and not recipe.freeze_norms:
        return model
    layers = {"head": "all", "all": len(leaves(model.body))}.get(recipe.trainable, recipe.trainable)
    return freeze(model, layers, freeze_norms=recipe.freeze_norms)


def run(
    source: str,
    recipe: Recipe,
    *,
    data=None,
    root=None,
    protocol: str | None = None,
    val: float = 0.1,
    by: str = "patient",
    folder: str | Path | None = None,
    options: dict | None = None,
    bootstrap: int = 1000,
    name: str = "",
    progress: bool = True,
) -> Experiment | None:
    """Load, split, build, train and evaluate: all is chosen on the validation split, the test split is scored once.

    Parameters
    ----------
    source : the name for ``load``, e.g. "phantom" or "folder:PATH"; ``options`` are passed on to it, ``root`` too.
    recipe : what to train.
    data : what ``load`` gave for ``source``, where it is at hand already.
    protocol, val, by : how to split, see ``split``.
    folder : where ``model.pt``, ``result.json``, ``predictions.json`` (of the validation and test images) and the
        checkpoint go; a run that was killed continues from there. None writes nothing.
    bootstrap : resamples for the intervals.

    Under ``torchrun`` the processes train together; the first one scores and writes, the others return None.
    The record names no folder of this machine, no file and no patient.

    Raises
    ------
    KeyboardInterrupt : Ctrl-C ended the training; nothing was scored.
    """
    progress = progress and is_main_process()
    if data is None:
        data = load(source, recipe.size, root=root, progress=progress, **(options or {}))
    train, validation, test = split(data, val=val, by=by, seed=recipe.seed, protocol=protocol)
    model = build(recipe, train.classes)
    checkpoint = None
    if folder is not None:
        folder = Path(folder)
        checkpoint = folder / "checkpoint.pt"
    history = fit(model, train, validation, recipe, checkpoint=checkpoint, progress=progress)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    if not is_main_process():
        return None
    scored = {
        "bootstrap": bootstrap,
        "seed": recipe.seed,
        "precision": recipe.precision,
        "tta": recipe.tta,
        "progress": progress,
    }
    on_validation = evaluate(model, validation, **scored)
    on_test = evaluate(model, test, **scored)  # the one time the test images are looked at
    record = {
        "format": RESULT_FORMAT,
        "name": name or f"{recipe.model}-{public_name(source)}-seed{recipe.seed}",
        "data": {
            "source": public_name(source),
            "options": options or {},
            "fingerprint": data.fingerprint,
            "skipped": len(data.skipped),
            "protocol": protocol,
            "val": PROTOCOLS[protocol][1] if protocol else val,
            "by": by,
            "splits": {
                part: {
                    "images": len(d),
                    "patients": int(len(np.unique(d.patients))),
                    "classes": {c: int((d.labels == k).sum()) for k, c in enumerate(d.classes)},
                }
                for part, d in (("train", train), ("val", validation), ("test", test))
            },
        },
        "training": history.to_dict(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "versions": versions(),
        "validation": on_validation.to_dict(),
        "test": on_test.to_dict(),
    }
    if len(train.classes) == 2:
        cut = best_threshold(on_validation.labels, on_validation.probs[:, 1])
        at_cut = on_test.at(cut, f"chosen on {len(validation)} validation images")
        record["test_at_validation_threshold"] = at_cut.to_dict()
    if folder is not None:
        save_model(model, folder / "model.pt")
        write_json(
            folder / PREDICTIONS,
            {part: _predictions(report) for part, report in (("validation", on_validation), ("test", on_test))},
        )
        write_json(folder / "result.json", record)
    return Experiment(model, history, on_validation, on_test, record)


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    from . import __version__

    found = {"cxrlib": __version__, "python": platform.python_version()}
    for package in RECORDED:
        try:
            found[package] = importlib.metadata.version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _predictions(report: Report) -> dict:
    """True classes and probabilities in the order of the images: no file, no patient."""
    return {
        "labels": [int(k) for k in report.labels],
        "probs": [[round(float(p), 9) for p in row] for row in report.probs],
    }


def public_name(source: str) -> str:
    """``folder:/home/ana/xrays`` becomes ``folder:xrays``: a record tells nothing about the machine."""
    kind, _, path = source.partition(":")
    return f"{kind}:{Path(path).name}" if path else kind
