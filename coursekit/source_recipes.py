"""The source projects' experiments as recipes, by letter: what `cxr reproduce` runs.

"-lite0" puts the backbone whose weights a package carries in the place of one that must be downloaded.
"""

from __future__ import annotations

from cxrlib.augment import Augment
from cxrlib.recipe import Recipe


def _ladder(model: str, size: int, suffix: str = "", **changes) -> dict[str, Recipe]:
    """Source A's transfer-learning runs: each step keeps what the one before changed."""
    step = Recipe(
        model=model,
        model_options={"pretrained": True},
        trainable="head",
        size=size,
        epochs=8,
        lr=1e-3,
        early_stopping=3,
        about="ImageNet weights, frozen: only the new head learns.",
    ).replace(**changes)
    steps = {"frozen": step}

    def then(name, about, **changes):
        nonlocal step
        step = steps[name] = step.replace(about=about, **changes)

    then(
        "v1",
        "After the head, the top 50 layers learn too; dropout 0.3.",
        trainable=50,
        freeze_norms=True,
        head_epochs=3,
        lr=1e-5,
        model_options={"pretrained": True, "head_dropout": 0.3},
    )
    then("v2", "v1 with the top 100 layers, learning rate 1e-6.", trainable=100, lr=1e-6)
    then("v3", "v2 with rotation, shift and brightness.", augment=Augment(rotate=15, shift=0.1, brightness=0.15))
    then(
        "v4",
        "v3 with dropout 0.5 and more patience before it stops.",
        early_stopping=6,
        model_options={"pretrained": True, "head_dropout": 0.5},
    )
    then("v5", "v4 with class weights.", class_weights="balanced")
    then(
        "v6",
        "v5 with label smoothing, ReduceLROnPlateau, learning rate 1e-4 and zoom.",
        label_smoothing=0.1,
        lr=1e-4,
        schedule="plateau",
        schedule_options={"factor": 0.5, "patience": 2},
        augment=Augment(rotate=15, shift=0.1, brightness=0.15, zoom=0.15),
    )
    return {f"A-{name}{suffix}": recipe for name, recipe in steps.items()}


def _frozen_base(model: str, size: int = 256) -> Recipe:
    options = {"pretrained": True, "head_dropout": 0.3, "head_batchnorm": True}
    return Recipe(
        model=model,
        model_options=options,
        trainable="head",
        size=size,
        epochs=20,
        batch_size=32,
        lr=1e-3,
        early_stopping=10,
        about="A frozen base with the same head as its rivals.",
    )


def _fine_tuned(model: str, size: int, **changes) -> Recipe:
    return (
        _frozen_base(model, size)
        .replace(
            trainable="all",
            head_epochs=3,
            batch_size=8,
            lr=1e-4,
            epochs=40,
            about="All of the network learns, batch norm in the head.",
        )
        .replace(**changes)
    )


_CYCLIC = Recipe(
    model="resnet34",
    model_options={"pretrained": True},
    size=224,
    epochs=8,
    lr=1e-3,
    schedule="cyclic",
    schedule_options={"base_lr": 1e-5, "step_epochs": 2},
    about="Triangular cyclic learning rate, 1e-5 to 1e-3, two epochs up and two down.",
)
_ONE_EPOCH = Recipe(
    model_options={"pretrained": True}, size=224, epochs=1, lr=1e-3, about="One epoch, to compare back-bones."
)
_SCRATCH = {"model_options": {}, "size": 96}  # offline and on two cores: no pretrained weights, a smaller image
_LITE0 = {
    "model": "efficientnet_lite0",
    "model_options": {"pretrained": True},
    "size": 128,
    "precision": "fp32",
}  # CPUs compute its depthwise convolutions slower in bf16

#: name -> Recipe. The layer orders and learning rates of source D are the course's own: `cxrlib.recipes`.
recipes: dict[str, Recipe] = {
    "A-baseline": Recipe(epochs=10, early_stopping=3, about="The baseline CNN."),
    **_ladder("resnet50", 224),
    **_ladder("efficientnet_lite0", 128, "-lite0", precision="fp32"),
    "B-resnet50": _frozen_base("resnet50"),
    "B-inception_resnet_v2": _frozen_base("inception_resnet_v2"),
    "B-efficientnet_b7": _frozen_base("efficientnet_b7"),
    "B-efficientnet_b7-tuned": _fine_tuned("efficientnet_b7", 256),
    "B-lite0": _frozen_base("efficientnet_lite0", 128),
    "B-lite0-tuned": _fine_tuned("efficientnet_lite0", 128, batch_size=32, epochs=8, precision="fp32"),
    "C-resnet18": _ONE_EPOCH.replace(model="resnet18"),
    "C-resnet34": _ONE_EPOCH.replace(model="resnet34"),
    "C-efficientnet_b0": _ONE_EPOCH.replace(model="efficientnet_b0"),
    "C-resnet18-scratch": _ONE_EPOCH.replace(model="resnet18", **_SCRATCH),
    "C-resnet34-scratch": _ONE_EPOCH.replace(model="resnet34", **_SCRATCH),
    "C-efficientnet_b0-scratch": _ONE_EPOCH.replace(model="efficientnet_b0", **_SCRATCH),
    "C-lite0": _ONE_EPOCH.replace(**_LITE0),
    "C-cyclic": _CYCLIC,
    "C-cyclic-scratch": _CYCLIC.replace(**_SCRATCH),
    "C-cyclic-lite0": _CYCLIC.replace(**_LITE0),
    "E-cnn5": Recipe(size=96, epochs=30, batch_size=32, lr=1e-3, about="The five-layer CNN for several diseases."),
    "E-resnet18": Recipe(
        model="resnet18", size=96, epochs=15, lr=1e-3, about="ResNet-18 from scratch, no augmentation."
    ),
    "E-resnet18-augmented": Recipe(
        model="resnet18",
        size=96,
        epochs=15,
        lr=1e-3,
        augment=Augment(flip=0.5, rotate=10, crop=0.8),
        about="ResNet-18 from scratch with flip, rotation and crop.",
    ),
}
