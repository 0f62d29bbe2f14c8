"""What the five source projects reported, as they reported it: to stand beside what is measured here."""

from __future__ import annotations

import pandas as pd

SOURCES = {
    "A": "Kaggle pneumonia, 5,216 training and 624 test images, validation 10 % of train",
    "B": "normal 3,279, bacterial 3,011, viral 1,661, COVID-19 1,285",
    "C": "Kaggle pneumonia, 8:2 of train",
    "D": "Kaggle pneumonia, all images pooled and cut again",
    "E": "four classes, 7,135 images, val merged, 8:2",
}

# Published figures on the official test split of Kaggle pneumonia (normal against pneumonia): accuracy, AUC.
# Yang et al., MedMNIST v2, Scientific Data 2023: the same split at 28 px as PneumoniaMNIST.
LITERATURE = {
    "Kermany et al. (2018)": (0.928, 0.968),
    "Google AutoML Vision on PneumoniaMNIST, 28 px (Yang et al., 2023)": (0.946, 0.991),
}

_ROWS = [
    # source, experiment, accuracy, f1, auc, minutes, remark
    ("A", "baseline CNN", 0.74, None, None, 8, ""),
    ("A", "ResNet50, frozen", 0.62, None, None, 30, "every normal image was called pneumonia"),
    ("A", "v1: top 50 layers, dropout .3", None, None, None, None, ""),
    ("A", "v2: top 100 layers, lr 1e-6", None, None, None, None, ""),
    ("A", "v3: more augmentation", None, None, None, None, "rotation, shift, brightness"),
    ("A", "v4: dropout .5, looser early stopping", None, None, None, None, ""),
    ("A", "v5: class weights", 0.84, None, None, None, ""),
    ("A", "v6: label smoothing, ReduceLROnPlateau", 0.907, None, 0.957, 100, ""),
    ("B", "ResNet50, frozen", None, None, None, None, "the same head for all three"),
    ("B", "InceptionResNetV2, frozen", None, None, None, None, "the same head for all three"),
    ("B", "EfficientNetB7, frozen", None, None, None, None, "the same head for all three"),
    ("B", "EfficientNetB7, fine-tuned", 0.8957, None, None, None, "training accuracy .957"),
    ("C", "ResNet18, one epoch", None, None, None, None, ""),
    ("C", "ResNet34, one epoch", None, None, None, None, ""),
    ("C", "EfficientNetB0, one epoch", None, None, None, None, ""),
    ("C", "ResNet34, cyclic learning rate", 0.877, 0.89, 0.93, None, ""),
    ("D", "CCPCCPFDD", 0.963, None, None, None, "learning rate 1e-4"),
    ("D", "CPCPCPCPFDD", 0.952, None, None, None, "learning rate 1e-4"),
    ("D", "CPCPCCFDD", 0.956, None, None, None, "learning rate 1e-4"),
    ("D", "CCPFDD", 0.951, None, None, None, "learning rate 1e-4"),
    ("D", "CPCFDD", 0.961, None, None, None, "learning rate 1e-4"),
    ("D", "CPCFDD, lr 1e-3", 0.944, None, None, None, ""),
    ("D", "CPCFDD, lr 1e-5", 0.955, None, None, None, ""),
    ("D", "CPCFDD, lr 1e-6", 0.931, None, None, None, ""),
    ("E", "five-layer CNN", 0.73, 0.755, None, None, "30 epochs, learning rate 1e-3"),
    ("E", "ResNet18", 0.52, 0.354, None, None, "no augmentation"),
    ("E", "ResNet18, augmented", 0.80, 0.790, None, None, "flip, rotation, crop"),
]


def reported(source: str | None = None) -> pd.DataFrame:
    """The figures that the source projects reported, one row an experiment; ``source`` is a letter, A to E.

    An experiment without a reported figure has NaN. ``minutes`` is the training time.
    """
    if source is not None and source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {source!r}")
    frame = pd.DataFrame(_ROWS, columns=["source", "experiment", "accuracy", "f1", "auc", "minutes", "remark"])
    return (frame if source is None else frame[frame["source"] == source]).reset_index(drop=True)
