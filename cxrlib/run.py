"""Run: a finished training as one object, which scores and explains images as it was trained and recorded to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from . import calibration
from ._class_map import ClassMap, score_mapped
from ._predict import predict
from ._prepare import prepare
from .cam import explain
from .data import CxrDataset, load, split
from .files import has_shape, read_json, write_json
from .history import History
from .inputs import network
from .metrics import FindingsReport, Report, evaluate, findings_report
from .models import CxrNet, load_model, save_model
from .multilabel import targets
from .recipe import Recipe

RESULT_FORMAT = 2
MODEL, RESULT, PREDICTIONS = "model.pt", "result.json", "predictions.json"
_RECORD = {"data": {"source": str, "fingerprint": str, "options": {}}, "test": {"values": {}, "intervals": {}}}


@dataclass
class Run:
    """A finished run: the network with all that is needed to use it as it was recorded.

    ``Run.open(folder)`` reads what ``cxr train`` wrote. ``predict``, ``evaluate`` and ``explain`` apply the recipe's
    image size, normalization and test-time augmentation, in float32, and the threshold that was chosen on validation.

    ``record`` is what ``result.json`` holds: data, split, curves, versions, scores. ``validation`` and ``test`` are the
    recorded predictions, uncalibrated and decided at 0.5, with whole patients behind the intervals. ``history`` are the
    curves, where the run was trained in this process. A multi-label run has a FindingsReport of each, and no
    temperature.
    """

    model: CxrNet
    recipe: Recipe
    record: dict
    validation: Report | FindingsReport
    test: Report | FindingsReport
    history: History | None = field(default=None, repr=False)

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Read a folder that ``cxr train`` wrote.

        FileNotFoundError names a file that is missing; ValueError says that files are damaged, do not fit together, or
        are of another version.
        """
        folder = Path(folder)
        for name in (MODEL, RESULT, PREDICTIONS):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder} holds no {name}; `cxr train --out {folder} ...` writes it")
        model = load_model(folder / MODEL)
        try:
            record, found = read_json(folder / RESULT), read_json(folder / PREDICTIONS)
            if record["format"] != RESULT_FORMAT:
                raise ValueError(f"it is of format {record['format']}, this version of cxrlib reads {RESULT_FORMAT}")
            recipe = Recipe.from_dict(record["training"]["recipe"])
            reports = []
            for part in ("validation", "test"):
                labels, probs, patients = (np.array(found[part][name]) for name in ("labels", "probs", "patients"))
                how = {"bootstrap": record[part]["bootstrap"], "seed": recipe.seed}
                make = findings_report if model.multilabel else Report
                reports.append(make(labels, probs, model.classes, patients, **how))
            run = cls(model, recipe, record, *reports)
            if recipe.size != model.config["size"] or not has_shape(record, _RECORD):
                raise ValueError("the record is not that of the model")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            files, reason = f"{RESULT}, {PREDICTIONS} and {MODEL}", f"{type(error).__name__}: {error}"
            raise ValueError(f"{folder}: {files} do not fit together ({reason}); run `cxr train` again") from error
        return run

    def save(self, folder: str | Path) -> Path:
        """Write ``model.pt``, ``result.json`` and ``predictions.json``; return the folder.

        The predictions hold true classes, probabilities and numbers in place of patients, in the order of the images:
        no file, no name.
        """
        folder = Path(folder)
        save_model(self.model, folder / MODEL)
        reports = {"validation": self.validation, "test": self.test}
        write_json(folder / PREDICTIONS, {name: report.predictions() for name, report in reports.items()})
        write_json(folder / RESULT, self.record)
        return folder

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.model.classes

    @cached_property
    def threshold(self) -> float | dict[str, float] | None:
        """The probability of the second of two classes at which the run decides, chosen on validation; else None.

        Of findings: {finding: probability}.
        """
        if not self.model.multilabel and (len(self.classes) != 2 or not np.ptp(self.validation.labels)):
            return None
        return self.validation.best_threshold()

    @cached_property
    def temperature(self) -> float:
        """The temperature fitted on the validation predictions (Guo et al., ICML 2017); ValueError for findings."""
        network("run (its temperature)", self.model, findings=False)
        return calibration.temperature(calibration.logits_of(self.validation.probs), self.validation.labels)

    def prepare(self, data: CxrDataset, progress: bool = False) -> CxrDataset:
        """Give images as the network takes them: cut as the recipe says, and scaled; maps are maps of these."""
        return prepare(data, self.recipe, progress)

    def predict(self, data: CxrDataset, *, calibrated: bool = False, progress: bool = False) -> np.ndarray:
        """Compute the class probabilities (N, K) of images, as the run was scored.

        Images are prepared as the recipe says: cut, and scaled where they have another size, with a warning.
        ``calibrated`` applies the temperature; the recorded scores are of probabilities as they are.
        """
        images = self.prepare(data, progress)
        probs = predict(self.model, images, tta=self.recipe.tta, progress=progress)
        return self.calibrate(probs) if calibrated else probs

    def calibrate(self, probs: np.ndarray) -> np.ndarray:
        """Apply the temperature to probabilities (N, K)."""
        return calibration.apply(calibration.logits_of(probs), self.temperature)

    def evaluate(
        self, data: CxrDataset, *, mapping: ClassMap = None, threshold: float | dict | None = None,
        progress: bool = False,
    ) -> Report | FindingsReport:  # fmt: skip
        """Score images with the recipe's size, views and precision, at the threshold chosen on validation.

        Without such a threshold it is 0.5. ``run.test`` and ``record["test"]`` are of the same kind at 0.5, as
        ``threshold=0.5`` gives it; ``record["test_at_validation_threshold"]`` is at the run's own.

        Parameters
        ----------
        data : CxrDataset
            With the run's classes, in any order; some may be missing.
        mapping : dict or str, optional
            What other classes count as: ``{"tuberculosis": "pneumonia", "hernia": None}``, where None leaves images
            out; ``"normal"``: this class against anything else. For a run of two classes, one of them "normal", every
            class that it does not know counts as the other one. A warning lists what was mapped or left out.
        threshold : float or {finding: float}, optional
            For two classes, or for findings.
        progress : bool
            Show a bar.

        Raises
        ------
        ValueError
            A class that counts as none of the run's.
        """
        at, source = threshold, "default" if threshold == 0.5 else "given"
        if threshold is None:
            at, source = self.threshold, f"chosen on {len(self.validation.labels)} validation images"

        def scored(part: CxrDataset) -> Report:
            return score(self.model, self.prepare(part, progress), self.recipe, self.test.bootstrap, progress)

        report = score_mapped(data, self.classes, mapping, scored, self.model.multilabel)
        return report if at is None else report.at(at, source)

    def explain(self, data: CxrDataset, **options) -> np.ndarray:
        """Compute class activation maps; ``options`` go to ``explain``."""
        return explain(self.model, self.prepare(data), **options)

    def load_data(
        self, source: str | None = None, *, root: str | Path | None = None, progress: bool = True, **options
    ) -> CxrDataset:
        """Load images at the run's size: by default those that it was trained on, unless they came from a folder."""
        recorded = self.record["data"]
        if source is None:
            source = recorded["source"]
            if source.startswith("folder:"):
                remedy = "a record does not tell where that folder lies: give it (--data folder:PATH)"
                raise ValueError(f"the run was trained on {source}, and {remedy}")
        if public_name(source) == recorded["source"] and not options:
            options = recorded["options"]
        return load(source, self.recipe.read_size, root=root, progress=progress, **options)

    def trained_on(self, data: CxrDataset) -> bool:
        """Tell whether these are the images that the run was trained, validated and tested on."""
        return data.fingerprint == self.record["data"]["fingerprint"]

    def split(self, data: CxrDataset) -> tuple[CxrDataset, CxrDataset, CxrDataset]:
        """Split the run's images as it did: train, validation, test; ValueError where that is not possible."""
        recorded = self.record["data"]
        if not self.trained_on(data):
            raise ValueError("these are not the images that the run was trained on, so they have no split of its own")
        how = {"protocol": recorded["protocol"]} if recorded["protocol"] else {"val": recorded["val"]}
        parts = split(data, by=recorded["by"], seed=self.recipe.seed, **how)
        for part, report in zip(parts[1:], (self.validation, self.test), strict=True):
            labels = targets(self.model, part.classes)[part.labels] if self.model.multilabel else part.labels
            if not np.array_equal(labels, report.labels):
                raise ValueError("this version of cxrlib splits otherwise than the run's did: train it again")
        return parts


def score(
    model: CxrNet, data: CxrDataset, recipe: Recipe, bootstrap: int = 1000, progress: bool = False
) -> Report | FindingsReport:
    """Score a network as its recipe says, decided at 0.5: in float32, so that the machine does not matter."""
    chosen = {"tta": recipe.tta, "seed": recipe.seed, "precision": "fp32"}
    return evaluate(model, data, bootstrap=bootstrap, progress=progress, **chosen)


def public_name(source: str) -> str:
    """``folder:/home/ana/xrays`` becomes ``folder:xrays``: a record tells nothing about the machine."""
    kind, _, path = source.partition(":")
    return f"{kind}:{Path(path).name}" if path else kind
