"""How the source projects set their experiments up, as far as that is known."""

from __future__ import annotations

# What is known of how each experiment was set up, in the words of a Recipe and of ``split``; a setting that is not here
# is not known. A source's own row stands over what holds for all of its experiments.
_LAYOUT = {"model_options.filters": (64, 128), "model_options.hidden": 128, "model_options.dropout": 0.3}
_SETTINGS: dict[str, dict] = {
    "A": {"data": "pneumonia", "protocol": "val10"},
    "B": {"data": "pneumonia4"},
    "C": {"data": "pneumonia", "protocol": "train82"},
    "D": {"data": "pneumonia", "protocol": "pooled", "lr": 1e-4, **_LAYOUT},
    "E": {"data": "lung4", "protocol": "merged82"},
}
_PRETRAINED = {"model_options.pretrained": True}
_RESNET50 = {**_PRETRAINED, "model": "resnet50"}
_TUNED = {
    **_PRETRAINED,
    "model": "efficientnet_b7",
    "trainable": "all",
    "model_options.head_dropout": 0.3,
    "model_options.head_batchnorm": True,
    "size": 256,
    "batch_size": 8,
    "early_stopping": 10,
}
_SETTINGS_OF: dict[tuple[str, str], dict] = {
    ("A", "ResNet50, frozen"): {**_RESNET50, "trainable": "head"},
    ("A", "v1: top 50 layers, dropout .3"): {**_RESNET50, "trainable": 50, "model_options.head_dropout": 0.3},
    ("A", "v2: top 100 layers, lr 1e-6"): {**_RESNET50, "trainable": 100, "lr": 1e-6},
    ("A", "v3: more augmentation"): {**_RESNET50},
    ("A", "v4: dropout .5, looser early stopping"): {**_RESNET50, "model_options.head_dropout": 0.5},
    ("A", "v5: class weights"): {**_RESNET50},
    ("A", "v6: label smoothing, ReduceLROnPlateau"): {
        **_RESNET50,
        "label_smoothing": 0.1,
        "schedule": "plateau",
        "lr": 1e-4,
    },
    ("B", "ResNet50, frozen"): {**_RESNET50, "trainable": "head"},
    ("B", "InceptionResNetV2, frozen"): {**_PRETRAINED, "model": "inception_resnet_v2", "trainable": "head"},
    ("B", "EfficientNetB7, frozen"): {**_PRETRAINED, "model": "efficientnet_b7", "trainable": "head"},
    ("B", "EfficientNetB7, fine-tuned"): _TUNED,
    ("C", "ResNet18, one epoch"): {"model": "resnet18", "epochs": 1},
    ("C", "ResNet34, one epoch"): {"model": "resnet34", "epochs": 1},
    ("C", "EfficientNetB0, one epoch"): {"model": "efficientnet_b0", "epochs": 1},
    ("C", "ResNet34, cyclic learning rate"): {
        "model": "resnet34",
        "schedule": "cyclic",
        "lr": 1e-3,
        "schedule_options.base_lr": 1e-5,
        "schedule_options.step_epochs": 2,
    },
    **{("D", layers): {"model": layers} for layers in ("CCPCCPFDD", "CPCPCPCPFDD", "CPCPCCFDD", "CCPFDD", "CPCFDD")},
    ("D", "CPCFDD, lr 1e-3"): {"model": "CPCFDD", "lr": 1e-3},
    ("D", "CPCFDD, lr 1e-5"): {"model": "CPCFDD", "lr": 1e-5},
    ("D", "CPCFDD, lr 1e-6"): {"model": "CPCFDD", "lr": 1e-6},
    ("E", "five-layer CNN"): {"model": "cnn5", "lr": 1e-3, "epochs": 30, "batch_size": 32},
    ("E", "ResNet18"): {"model": "resnet18"},
    ("E", "ResNet18, augmented"): {"model": "resnet18"},
}


def settings(source: str, experiment: str) -> dict:
    """What is known of how a source set an experiment up: ``data``, ``protocol``, and fields of a Recipe."""
    return _SETTINGS[source] | _SETTINGS_OF.get((source, experiment), {})
