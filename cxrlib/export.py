"""export_onnx: a finished run as one ONNX file, for programs that know neither PyTorch nor this library."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .files import atomic_path
from .models import CxrNet, evaluating
from .multilabel import to_probabilities
from .run import Run

OPSET = 18
AGREE = 1e-4  # of the largest logit, between ONNX Runtime and PyTorch
NEEDED = ("onnx", "onnxscript", "onnxruntime")


class _Answers(nn.Module):
    def __init__(self, model: CxrNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.model(image)
        return logits, to_probabilities(self.model, logits)


def export_onnx(run: Run, path: str | Path) -> float:
    """Write a run's network as ONNX, and compare its logits with PyTorch's.

    Returns the largest difference on 8 images, divided by the largest logit (at least 1).

    The input ``image`` is float32 (batch, 1, H, W) from 0 to 1, before the network's own normalization, which is part
    of the file; the outputs are ``logits`` and ``probabilities``, uncalibrated. The metadata, as JSON by name, tell
    classes, size, normalize, multilabel, threshold, temperature, crop and views: what a program must do with its
    pictures before, and with the probabilities after.

    The file is read again with ONNX Runtime, and compared, before it is put in place. Raises ModuleNotFoundError where
    the packages of the extra ``onnx`` are missing, ValueError where the two disagree by more than a ten-thousandth.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ModuleNotFoundError(f"to write ONNX, {', '.join(missing)} must be installed: pip install 'cxrlib[onnx]'")
    import onnxruntime

    model, recipe, side = run.model, run.recipe, run.model.config["size"]
    first = next(model.parameters())
    two = torch.zeros(2, 1, side, side, device=first.device)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad(), evaluating(model):
        warnings.simplefilter("ignore")  # of torch, about its own insides
        program = torch.onnx.export(
            _Answers(model).eval(), (two,), dynamo=True, opset_version=OPSET, input_names=["image"],
            output_names=["logits", "probabilities"], dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            verbose=False,
        )  # fmt: skip
        images = np.random.default_rng(0).random((8, 1, side, side), np.float32)
        ours = model(torch.from_numpy(images).to(first.device)).cpu().numpy()
    facts = {
        "classes": list(run.classes), "size": side, "normalize": model.config["normalize"], "threshold": run.threshold,
        "multilabel": model.multilabel, "temperature": None if model.multilabel else run.temperature,
        "views": list(recipe.tta), "crop": recipe.crop, "crop_margin": recipe.crop_margin if recipe.crop else None,
        "note": "Input in [0, 1]. The recorded scores average the probabilities of these views. Not a medical device.",
    }  # fmt: skip
    program.model.metadata_props.update({name: json.dumps(value) for name, value in facts.items()})
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        (theirs,) = session.run(["logits"], {"image": images})
        apart = float(np.abs(theirs - ours).max() / max(1, np.abs(ours).max()))
        if not apart <= AGREE:
            raise ValueError(f"the ONNX file and PyTorch differ by {apart:.2g} of the logits: nothing was written")
    return apart
