"""Save and load networks: no code in the file, nothing half-written, errors that say what is wrong."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from ..files import has_shape, write_torch
from ..validate import short
from .net import CxrNet, build_model

_FORMAT = "cxrlib-model-1"
_PLAIN = (str, int, float, bool, type(None))


def save_model(model: CxrNet, path: str | os.PathLike, **extra: object) -> Path:
    """Write a network to one file, usually ``*.pt``; an existing one is replaced only when the new one is complete.

    Missing folders are made. ``extra`` are plain values to keep with it (numbers, text, tensors, lists and dicts of
    these); ``load_model`` gives them back as ``net.extra``.
    """
    for name, given in extra.items():
        for key, value in _leaves(name, given):
            if type(value) not in (*_PLAIN, torch.Tensor):
                kinds = f"numbers, text, tensors, lists and dicts, got {type(value).__name__}"
                remedy = "convert it first, for example with float(...) or .tolist()"
                raise ValueError(f"{key}: a checkpoint keeps only {kinds}; {remedy}")
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"path: {path} is a folder; give the name of a file")
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    return write_torch(path, {"format": _FORMAT, "config": model.config, "state": state, "extra": extra})


def load_model(path: str | os.PathLike) -> CxrNet:
    """Read a network written by ``save_model``; no code in the file is run and nothing is downloaded.

    It is in eval mode; ``net.extra`` holds the extra values of ``save_model``. ValueError for a file that is damaged,
    is not a checkpoint of this library, or holds another architecture.
    """
    path = Path(path)
    content = _read(path)
    config = content["config"]
    name, offline = short(config["name"]), {"pretrained": False} if "pretrained" in config else {}
    try:
        model = build_model(**config | offline)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: this version cannot rebuild the model {name}: {str(error)[:400]}") from error
    try:
        with warnings.catch_warnings(action="error"):  # complex numbers in place of real ones
            model.load_state_dict(content["state"])
    except Exception as error:  # torch does not expect all that a state from elsewhere may hold
        reason = " ".join(str(error).split())[:400]
        raise ValueError(f"{path} holds other weights than {name} has here: {reason}; save it again") from error
    if "pretrained" in config:
        model.config["pretrained"] = config["pretrained"]
    model.extra = content.get("extra", {})
    return model.eval()


def _read(path: Path) -> dict:
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}; `cxr train` or save_model(model, path) writes one")
    if not path.is_file():
        raise ValueError(f"{path} is a folder; give the file that save_model wrote")
    try:
        with zipfile.ZipFile(path) as archive:  # as torch writes it
            size = sum(member.file_size for member in archive.infolist())
        fits = size <= path.stat().st_size  # torch packs nothing
        content = torch.load(path, map_location="cpu", weights_only=True) if fits else None
    except Exception as error:  # both raise many types here, pickle and runtime errors among them
        if "weights_only" in str(error) or "Unsupported" in str(error):
            why = "holds Python objects, not only weights, and is not loaded because it could run code"
            raise ValueError(f"{path} {why}; give a file that save_model wrote") from error
        what = "is not a checkpoint of save_model, or it is damaged or incomplete"
        raise ValueError(f"{path} {what}; copy or save it again") from error
    if not fits:
        why = f"unpacks to {size:,} bytes, more than the file has, and is not loaded"
        raise ValueError(f"{path} {why}; give a file that save_model wrote")
    shape = {"format": str, "config": {"name": str, "classes": [str]}, "state": {}}
    if not has_shape(content, shape) or content["format"] != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this library; give a file that save_model wrote")
    if not all(type(value) in _PLAIN for _, value in _leaves("", content["config"])):
        raise ValueError(f"{path} is damaged: its settings are not those of a model; copy or save it again")
    return content


def _leaves(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Give what stands in lists and dictionaries, and in those inside of them, each with its name."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{name}[{short(key)}]", item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(name, item)
    else:
        yield name, value
