"""Checkpoints: model files, and trainings that go on from a file; some bring a program to run."""

from __future__ import annotations

import copy
import functools
import io
import math
import os
import random
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from .damage import NASTY, mutate, zipped

if TYPE_CHECKING:
    from cxrlib import CxrDataset, Recipe


class _Evil:
    """What a hostile checkpoint brings: a pickle that runs a program."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


@functools.cache
def checkpoint_files() -> tuple[list[bytes], list[dict]]:
    """Return valid model files, and what is in them."""
    import torch

    from cxrlib import build_model, save_model

    files, contents = [], []
    for name, options in (
        ("CPF", {"size": 8, "filters": (2,)}),
        ("CPFD", {"size": 8, "filters": (2,), "hidden": 3}),
        ("CP", {"filters": (2, 3), "padding": "valid"}),
    ):
        model = build_model(name, ("normal", "pneumonia"), seed=0, **options)
        with tempfile.TemporaryDirectory() as folder:
            place = save_model(model, Path(folder) / "model.pt", epochs=3, note="é").read_bytes()
        files.append(place)
        contents.append(torch.load(io.BytesIO(place), weights_only=True))
    return files, contents


def _nasty_tensors():
    import torch

    return (
        torch.zeros(()),
        torch.zeros(2, 2),
        torch.zeros(3, dtype=torch.int8),
        torch.full((2, 1, 3, 3), math.nan),
        torch.zeros(1).expand(10**6, 10**6),
        torch.zeros(1, dtype=torch.complex64),
        torch.zeros(0, 5),
        torch.sparse_coo_tensor([[0], [0]], [1.0], (3, 3)),
    )


def make_checkpoint(rng: random.Random) -> bytes:
    """Draw a model file."""
    import torch

    files, contents = checkpoint_files()
    kind = rng.random()
    if kind < 0.35:
        return mutate(rng.choice(files), rng, files)
    if kind < 0.4:  # the same members, packed so that they unfold to gigabytes
        with zipfile.ZipFile(io.BytesIO(rng.choice(files))) as archive:
            members = [(m.filename, archive.read(m)) for m in archive.infolist()]
        if rng.random() < 0.5:
            members = [(n, bytes(3 * 2**20) * (rng.choice((1, 60)) if "data/" in n else 0) or d) for n, d in members]
        return zipped(members)
    content = copy.copy(rng.choice(contents))
    content["config"], content["state"] = dict(content["config"]), dict(content["state"])
    for _ in range(rng.choice((1, 1, 2))):
        part = rng.choice((content["config"],) * 4 + (content["state"], content))
        key = rng.choice(list(part)) if part else "x"
        match rng.randrange(5):
            case 0:
                part.pop(key, None)
            case 1:
                part[rng.choice(("extra", "pretrained", "head_hidden", 7, ("a",)))] = rng.choice(NASTY)
            case 2:
                part[key] = rng.choice(_nasty_tensors())
            case 3 if part is content["config"]:
                part["name"] = rng.choice(("CPF" * 2000, "resnet18", "C" * 60, "F", "P" * 40, "é", "CPFDD" + "D" * 500))
            case _:
                part[key] = rng.choice(NASTY)
        if not isinstance(content.get("config"), dict) or not isinstance(content.get("state"), dict):
            break
    if rng.random() < 0.1:
        content["extra"] = _Evil()
    if rng.random() < 0.05:
        content = [content]
        for _ in range(rng.choice((10, 2_000))):
            content = [content]
    buffer = io.BytesIO()
    try:
        torch.save(content, buffer, _use_new_zipfile_serialization=rng.random() < 0.95)
    except Exception:  # lone surrogates, nesting: not even torch writes these
        return mutate(rng.choice(files), rng, files)
    return buffer.getvalue()


def run_checkpoint(case: bytes, folder: Path) -> None:
    """Load it."""
    import torch

    from cxrlib import load_model

    path = folder / "model.pt"
    path.write_bytes(case)
    try:
        net = load_model(path)
        side = net.config["size"]
        if side <= 256:
            net(torch.zeros(1, 1, side, side))
    finally:
        assert not (folder / "ran").exists(), "the checkpoint ran a program"


@functools.cache
def toy() -> tuple[CxrDataset, Recipe]:
    """Return a tiny data set and a recipe for it."""
    import numpy as np

    from cxrlib import CxrDataset, Recipe

    rng = np.random.default_rng(0)
    data = CxrDataset(
        rng.integers(0, 255, (8, 1, 8, 8), dtype=np.uint8),
        np.arange(8) % 2,
        ("normal", "pneumonia"),
        [f"p{i}" for i in range(8)],
        name="toy",
    )
    recipe = Recipe(
        model="CPF",
        model_options={"filters": (2,)},
        size=8,
        epochs=2,
        batch_size=4,
        precision="fp32",
        schedule="onecycle",
        ema_decay=0.9,
    )
    return data, recipe


@functools.cache
def training_file() -> tuple[bytes, dict]:
    """Return the checkpoint of a finished training, so that reading it is all there is to do."""
    import torch

    from cxrlib import build, fit

    data, recipe = toy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.pt"
        fit(build(recipe, data.classes), data, data, recipe, checkpoint=path, progress=False)
        return path.read_bytes(), torch.load(path, weights_only=True)


def make_training(rng: random.Random) -> bytes:
    """Return what can become of a file that the program wrote: damage, parts that are missing, another's file."""
    import torch

    whole, content = training_file()
    kind = rng.random()
    if kind < 0.6:
        return mutate(whole, rng, [*checkpoint_files()[0], whole])
    content = dict(content)
    for _ in range(rng.choice((1, 1, 2))):
        content.pop(rng.choice(list(content)))
    if kind > 0.9:
        content["best"] = _Evil()
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def run_training(case: bytes, folder: Path) -> None:
    """Go on training from it."""
    from cxrlib import build, fit

    data, recipe = toy()
    path = folder / "training.pt"
    path.write_bytes(case)
    try:
        history = fit(build(recipe, data.classes), data, data, recipe, checkpoint=path, progress=False)
        assert str(history) and history.to_dict()
    finally:
        assert not (folder / "ran").exists(), "the checkpoint ran a program"


@functools.cache
def _lung_weights() -> tuple[bytes, dict]:
    import numpy as np

    from cxrlib._lungs import WEIGHTS

    with np.load(WEIGHTS) as file:
        return WEIGHTS.read_bytes(), dict(file)


def make_weights(rng: random.Random) -> bytes:
    """Draw a file of weights for `cxr.lungs`: its bytes damaged, or one array another one."""
    import numpy as np

    file, arrays = _lung_weights()
    if rng.random() < 0.5:
        return mutate(file, rng, [file])
    name = rng.choice(list(arrays))
    given = arrays[name]
    odd = {
        "more axes": given[..., None], "none": given[:0], "another kind": given.astype("U8"), "text": np.array("é"),
        "no numbers": np.full_like(given, np.nan), "complex": given.astype(complex), "a pickle": np.array([_Evil()]),
    }  # fmt: skip
    packed = io.BytesIO()
    changed = {name: odd[rng.choice(list(odd))]} if rng.random() < 0.8 else {}
    np.savez_compressed(packed, **({k: v for k, v in arrays.items() if k != name} | changed))
    return packed.getvalue()


def run_weights(case: bytes, folder: Path) -> None:
    """Read the weights, and use them."""
    import numpy as np

    from cxrlib._lungs import find_lungs

    path = folder / "lungs.npz"
    path.write_bytes(case)
    find_lungs(np.zeros((1, 64, 64), np.uint8), weights=path)
