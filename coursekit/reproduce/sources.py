"""What the five source projects did, setting by setting, and the recipes that repeat it.

``settings`` gives what is known of an experiment; ``recipes`` what `cxr reproduce` runs for it. What the projects
reported is in ``cxrlib.reported``. A suffix says what a recipe replaces: "-lite0" puts the backbone whose weights a
package carries in the place of one that must be downloaded, "-scratch" does without pretrained weights.
"""

from __future__ import annotations

from cxrlib.augment import Augment
from cxrlib.recipe import Recipe

# --- what is known of the sources

#: What holds for all experiments of a source, in the words of a Recipe and of ``split``. Not named: not known.
#: ``epochs`` are those that were planned, ``epochs_run`` those after which the training ended.
COMMON: dict[str, dict] = {
    "A": {"data": "pneumonia", "protocol": "val10"},
    "B": {"data": "pneumonia4", "model_options.pretrained": True},
    "C": {"data": "pneumonia", "protocol": "train82", "size": 224},
    "D": {
        "data": "pneumonia", "protocol": "pooled", "lr": 1e-4, "model_options.filters": (64, 128),
        "model_options.hidden": 128, "model_options.dropout": 0.3,
    },
    "E": {"data": "lung4", "protocol": "merged82", "size": 224},
}  # fmt: skip
_RESNET50 = {"model": "resnet50", "model_options.pretrained": True}
#: (source, experiment as ``cxrlib.reported`` names it) -> what is known of it beside ``COMMON``, which it overrides.
OWN: dict[tuple[str, str], dict] = {
    ("A", "baseline CNN"): {"epochs_run": 4},
    ("A", "ResNet50, frozen"): {**_RESNET50, "trainable": "head", "epochs_run": 10},
    ("A", "v1: top 50 layers, dropout .3"): {**_RESNET50, "trainable": 50, "model_options.head_dropout": 0.3},
    ("A", "v2: top 100 layers, lr 1e-6"): {**_RESNET50, "trainable": 100, "lr": 1e-6},
    ("A", "v3: more augmentation"): {**_RESNET50, "augment": ("brightness", "rotate", "shift")},
    ("A", "v4: dropout .5, looser early stopping"): {**_RESNET50, "model_options.head_dropout": 0.5},
    ("A", "v5: class weights"): {**_RESNET50},
    ("A", "v6: label smoothing, ReduceLROnPlateau"): {
        **_RESNET50, "trainable": 50, "model_options.head_dropout": 0.5, "label_smoothing": 0.1, "optimizer": "adam",
        "lr": 1e-4, "schedule": "plateau", "augment": ("brightness", "rotate", "shift", "zoom"), "epochs_run": 20,
    },
    ("B", "ResNet50, frozen"): {"model": "resnet50", "trainable": "head"},
    ("B", "InceptionResNetV2, frozen"): {"model": "inception_resnet_v2", "trainable": "head"},
    ("B", "EfficientNetB7, frozen"): {"model": "efficientnet_b7", "trainable": "head"},
    ("B", "EfficientNetB7, fine-tuned"): {
        "model": "efficientnet_b7",
        "trainable": "all",  # 67,075,284 of 67,394,715 parameters, although its text says that the base was frozen
        "model_options.head_dropout": 0.3, "model_options.head_batchnorm": True,
        "size": 256, "batch_size": 8, "epochs": 50, "epochs_run": 17, "early_stopping": 10,
    },
    ("C", "ResNet18, one epoch"): {"model": "resnet18", "epochs": 1},
    ("C", "ResNet34, one epoch"): {"model": "resnet34", "epochs": 1},
    ("C", "EfficientNetB0, one epoch"): {"model": "efficientnet_b0", "epochs": 1},
    ("C", "ResNet34, cyclic learning rate"): {
        "model": "resnet34", "optimizer": "adam", "schedule": "cyclic", "lr": 1e-3,
        "schedule_options.base_lr": 1e-5, "schedule_options.step_epochs": 2,
    },
    **{("D", layers): {"model": layers} for layers in ("CCPCCPFDD", "CPCPCPCPFDD", "CPCPCCFDD", "CCPFDD", "CPCFDD")},
    **{("D", f"CPCFDD, lr {lr}"): {"model": "CPCFDD", "lr": float(lr)} for lr in ("1e-3", "1e-5", "1e-6")},
    ("E", "five-layer CNN"): {"model": "cnn5", "lr": 1e-3, "epochs": 30, "batch_size": 32},
    ("E", "ResNet18"): {"model": "resnet18", "augment": ()},
    ("E", "ResNet18, augmented"): {"model": "resnet18", "augment": ("crop", "flip", "rotate")},
}  # fmt: skip
#: The images of each class in Kaggle's own sets of four classes. A copy with other counts is named for what it is.
KAGGLE: dict[str, dict[str, int]] = {
    "pneumonia4": {"normal": 3279, "bacterial": 3011, "viral": 1661, "covid-19": 1285},
    "lung4": {"normal": 1583, "pneumonia": 4273, "covid-19": 576, "tuberculosis": 703},
}


def settings(source: str, experiment: str) -> dict:
    """Return what is known of how a source set an experiment up: ``data``, ``protocol``, and fields of a Recipe."""
    return COMMON[source] | OWN.get((source, experiment), {})


# --- the recipes


def _ladder(model: str, size: int, suffix: str = "", **changes) -> dict[str, Recipe]:
    """Return source A's transfer-learning runs: each step keeps what the one before changed."""
    pretrained = {"pretrained": True}
    step = Recipe(model=model, model_options=pretrained, size=size, epochs=8, early_stopping=3).replace(**changes)
    steps = {}
    last = "v5 with the top 50 layers, label smoothing, ReduceLROnPlateau, learning rate 1e-4, zoom and 20 epochs."
    for name, about, changed in (
        ("frozen", "ImageNet weights, frozen: only the new head learns.", {"trainable": "head", "epochs": 10}),
        ("v1", "After the head, the top 50 layers learn too; dropout 0.3.", {
            "trainable": 50, "freeze_norms": True, "epochs": 8, "head_epochs": 3, "lr": 1e-5,
            "model_options": pretrained | {"head_dropout": 0.3},
        }),
        ("v2", "v1 with the top 100 layers, learning rate 1e-6.", {"trainable": 100, "lr": 1e-6}),
        ("v3", "v2 with rotation, shift and brightness.", {"augment": Augment(rotate=15, shift=0.1, brightness=0.15)}),
        ("v4", "v3 with dropout 0.5 and more patience before it stops.", {
            "early_stopping": 6, "model_options": pretrained | {"head_dropout": 0.5},
        }),
        ("v5", "v4 with class weights.", {"class_weights": "balanced"}),
        ("v6", last, {
            "trainable": 50, "epochs": 20, "label_smoothing": 0.1, "lr": 1e-4, "schedule": "plateau",
            "schedule_options": {"factor": 0.5, "patience": 2},
            "augment": Augment(rotate=15, shift=0.1, brightness=0.15, zoom=0.15),
        }),
    ):  # fmt: skip
        steps[f"A-{name}{suffix}"] = step = step.replace(about=about, **changed)
    return steps


_FROZEN = Recipe(
    model_options={"pretrained": True, "head_dropout": 0.3, "head_batchnorm": True}, trainable="head", size=256,
    epochs=20, early_stopping=10, about="A frozen base with the same head as its rivals.",
)  # fmt: skip
_TUNED = _FROZEN.replace(
    trainable="all", head_epochs=3, batch_size=8, lr=1e-4, epochs=50, about="All of the network learns."
)
_ONE_EPOCH = Recipe(model_options={"pretrained": True}, size=224, epochs=1, about="One epoch, to compare backbones.")
_CYCLIC = Recipe(
    model="resnet34", model_options={"pretrained": True}, size=224, schedule="cyclic",
    schedule_options={"base_lr": 1e-5, "step_epochs": 2},
    about="Triangular cyclic learning rate, 1e-5 to 1e-3, two epochs up and two down.",
)  # fmt: skip
# 96 px in place of the source's 224, for two cores: 224 px are 5.4 times as many pixels
_CNN5 = Recipe(size=96, epochs=30, about="The five-layer CNN for several diseases.")
_RESNET18 = Recipe(model="resnet18", size=96, epochs=15, about="ResNet-18 from scratch, no augmentation.")
_AUGMENTED = _RESNET18.replace(
    augment=Augment(flip=0.5, rotate=10, crop=0.8), about="ResNet-18 from scratch with flip, rotation and crop."
)
_SCRATCH = {"model_options": {}, "size": 96}  # offline and on two cores: no pretrained weights, a smaller image
# CPUs compute the depthwise convolutions of Lite0 slower in bf16
_LITE0 = {"model": "efficientnet_lite0", "size": 128, "precision": "fp32"}

_BACKBONES = ("resnet18", "resnet34", "efficientnet_b0")  # that source C compares
#: name -> Recipe. The layer orders and learning rates of source D are the course's own: `cxrlib.recipes`.
recipes: dict[str, Recipe] = {
    "A-baseline": Recipe(epochs=10, early_stopping=3, about="The baseline CNN."),
    **_ladder("resnet50", 224),
    **_ladder(suffix="-lite0", **_LITE0),
    **{f"B-{name}": _FROZEN.replace(model=name) for name in ("resnet50", "inception_resnet_v2", "efficientnet_b7")},
    "B-efficientnet_b7-tuned": _TUNED.replace(model="efficientnet_b7"),
    **{f"B-lite{k}": _FROZEN.replace(model=f"efficientnet_lite{k}", size=128) for k in range(3)},
    "B-lite0-simple-head": _FROZEN.replace(
        model="efficientnet_lite0", size=128, model_options={"pretrained": True}, about="One linear layer as the head."
    ),
    "B-lite0-complex-head": _FROZEN.replace(
        model="efficientnet_lite0", size=128, model_options=_FROZEN.model_options | {"head_hidden": 256},
        about="A head with a dense layer of 256, batch norm and dropout.",
    ),
    "B-lite0-tuned": _TUNED.replace(batch_size=32, epochs=8, **_LITE0),
    **{f"C-{name}": _ONE_EPOCH.replace(model=name) for name in _BACKBONES},
    **{f"C-{name}-scratch": _ONE_EPOCH.replace(model=name, **_SCRATCH) for name in _BACKBONES},
    "C-lite0": _ONE_EPOCH.replace(**_LITE0),
    "C-cyclic": _CYCLIC, "C-cyclic-scratch": _CYCLIC.replace(**_SCRATCH), "C-cyclic-lite0": _CYCLIC.replace(**_LITE0),
    "E-cnn5": _CNN5, "E-resnet18": _RESNET18, "E-resnet18-augmented": _AUGMENTED,
}  # fmt: skip
