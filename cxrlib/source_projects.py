"""What the five source projects reported, as they reported it: to stand beside what is measured here."""

from __future__ import annotations

import pandas as pd

from .validate import one_of

SOURCES = {
    "A": "Kaggle pneumonia, 5,216 training and 624 test images, validation 10 % of train",
    "B": "normal 3,279, bacterial 3,011, viral 1,661, COVID-19 1,285",
    "C": "Kaggle pneumonia, 8:2 of train",
    "D": "Kaggle pneumonia, all images pooled and split again",
    "E": "four classes, 7,135 images, val merged, 8:2",
}

_ROWS = [
    # source, experiment, accuracy, f1, auc, loss, minutes, remark
    ("A", "baseline CNN", 0.74, None, None, None, 8, "4 epochs"),
    ("A", "ResNet50, frozen", 0.62, None, None, None, 30, "10 epochs; every normal image was called pneumonia"),
    ("A", "v1: top 50 layers, dropout .3", None, None, None, None, None, ""),
    ("A", "v2: top 100 layers, lr 1e-6", None, None, None, None, None, ""),
    ("A", "v3: more augmentation", None, None, None, None, None, "rotation, shift, brightness"),
    ("A", "v4: dropout .5, looser early stopping", None, None, None, None, None, ""),
    ("A", "v5: class weights", 0.84, None, None, None, None, ""),
    ("A", "v6: label smoothing, ReduceLROnPlateau", 0.907, None, 0.957, None, 100, "20 epochs"),
    ("B", "ResNet50, frozen", None, None, None, None, None, "the same head for all three"),
    ("B", "InceptionResNetV2, frozen", None, None, None, None, None, "the same head for all three"),
    ("B", "EfficientNetB7, frozen", None, None, None, None, None, "the same head for all three"),
    ("B", "EfficientNetB7, fine-tuned", 0.8957, None, None, 0.3187, None, "17 of 50 epochs; training accuracy .957"),
    ("C", "ResNet18, one epoch", None, None, None, None, None, ""),
    ("C", "ResNet34, one epoch", None, None, None, None, None, ""),
    ("C", "EfficientNetB0, one epoch", None, None, None, None, None, ""),
    ("C", "ResNet34, cyclic learning rate", 0.877, 0.89, 0.93, None, None, ""),
    ("D", "CCPCCPFDD", 0.9633, None, None, 0.2419, 20.25, "learning rate 1e-4"),
    ("D", "CPCPCPCPFDD", 0.9522, None, None, 0.1313, 9.45, "learning rate 1e-4"),
    ("D", "CPCPCCFDD", 0.9556, None, None, 0.1447, 10.7, "learning rate 1e-4"),
    ("D", "CCPFDD", 0.9505, None, None, 0.1990, 13.88, "learning rate 1e-4"),
    ("D", "CPCFDD", 0.9608, None, None, 0.1797, 9.68, "learning rate 1e-4"),
    ("D", "CPCFDD, lr 1e-3", 0.9437, None, None, 0.4688, 9.42, ""),
    ("D", "CPCFDD, lr 1e-5", 0.9548, None, None, 0.1216, 9.6, ""),
    ("D", "CPCFDD, lr 1e-6", 0.9309, None, None, 0.1873, 9.6, ""),
    ("E", "five-layer CNN", 0.73, 0.7548, None, None, None, "30 epochs, learning rate 1e-3"),
    ("E", "ResNet18", 0.52, 0.3537, None, None, None, "no augmentation"),
    ("E", "ResNet18, augmented", 0.80, 0.7898, None, None, None, "flip, rotation, crop"),
]


def reported(source: str | None = None) -> pd.DataFrame:
    """Return the figures that the source projects, or one of them ("A" to "E"), reported: one row per experiment.

    Columns are source, experiment, accuracy, f1, auc, loss, minutes (of training) and remark. What was not reported is
    NaN.
    """
    frame = pd.DataFrame(_ROWS, columns=["source", "experiment", "accuracy", "f1", "auc", "loss", "minutes", "remark"])
    if source is not None:
        frame = frame[frame["source"] == one_of("source", source, SOURCES)]
    return frame.reset_index(drop=True)
