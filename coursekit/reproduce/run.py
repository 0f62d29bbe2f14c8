"""Carry out rows of the plan, and write one JSON record per run."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cxrlib.data import PROTOCOLS, CxrDataset, load
from cxrlib.data.sources import SOURCES as DATA
from cxrlib.experiment import run
from cxrlib.files import read_json, write_json
from cxrlib.models import BACKBONES, build_model
from cxrlib.recipe import Recipe
from cxrlib.run import RESULT_FORMAT, public_name

from .plan import Row, recipes
from .sources import KAGGLE

FAST = {"epochs": 1, "size": 64, "bootstrap": 100}  # and one epoch for the head
NOT_RUN = "not run"


@dataclass
class Outcome:
    """What became of one run: ``status`` is "ran", "kept" (its record was there), "not run" or "failed"."""

    row: Row
    seed: int
    status: str
    reason: str = ""
    record: dict | None = None
    path: Path | None = None


def reproduce(
    rows: Iterable[Row], *, root: str | Path | None = None, data: str | None = None, options: dict | None = None,
    out: str | Path = "results", work: str | Path = "runs/reproduce", seeds: Iterable[int] | None = None,
    epochs: int | None = None, size: int | None = None, fast: bool = False, bootstrap: int = 1000,
    force: bool = False, progress: bool = True, announce: Callable[[Row, int, Recipe], None] | None = None,
) -> Iterator[Outcome]:  # fmt: skip
    """Run rows of the plan one after another; yield an Outcome for each row and seed.

    A run writes ``out``/reproduce-ID-seedN.json when it is complete. A run whose record is there with the same recipe,
    images, split and seed is not repeated; a run that was killed continues from the checkpoint in ``work``. What cannot
    run here gets a record that says so, unless a measured one is there.

    Parameters
    ----------
    rows : iterable of Row
        From ``select``.
    root : path, optional
        A local copy of the data; where it does not hold a row's data set, the other places of ``load`` are tried.
    data, options : str and dict, optional
        Another data set for all rows, e.g. "phantom" with {"n": 200}.
    out, work : path
        Folders of the records, and of models and checkpoints.
    seeds, epochs, size : iterable of int, int, int, optional
        Instead of each row's own, and of the recipe's.
    fast, bootstrap, force : bool, int, bool
        One epoch, 64 px, one seed, few resamples; resamples for the intervals; run again what is recorded.
    announce : callable, optional
        Called with row, seed and recipe before a run that takes time.
    """
    if root is not None and not Path(root).expanduser().is_dir():
        raise ValueError(f"{root} is not a folder; give the folder that holds the data set")
    changes = {"epochs": epochs, "size": size}
    if fast:
        changes = {k: v or FAST[k] for k, v in changes.items()}
        bootstrap = min(bootstrap, FAST["bootstrap"])
    shop = _Shop(root, options, progress)
    for row in rows:
        for seed in seeds or (row.seeds[:1] if fast else row.seeds):
            recipe = recipes[row.recipe].replace(seed=seed, **{k: v for k, v in changes.items() if v})
            if fast:
                recipe = recipe.replace(head_epochs=min(recipe.head_epochs, 1))
            if fast and size is None and recipe.model in BACKBONES:
                recipe = recipe.replace(size=max(recipe.size, BACKBONES[recipe.model].smallest))
            said = command(row, seed, data=data, options=options, epochs=epochs, size=size, fast=fast)
            folders = Path(out), Path(work)
            job = _Job(row, recipe, data or row.data, dict(options or {}), *folders, bootstrap, said)
            yield job.do(shop, force, progress, announce)


def command(
    row: Row, seed: int | None = None, *, data: str | None = None, options: dict | None = None,
    epochs: int | None = None, size: int | None = None, fast: bool = False,
) -> str:  # fmt: skip
    """Return the command that runs one row, without any folder of this machine."""
    words = ["cxr", "reproduce", "--row", row.id]
    for name, value in (("seed", seed), ("data", data and public_name(data)), ("epochs", epochs), ("size", size)):
        if value is not None:
            words += [f"--{name}", str(value)]
    for name, value in (options or {}).items():
        words += ["-o", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words + ["--fast"] * fast)


class _CannotRun(Exception):
    """Something is missing here: data, an official split, weights."""


class _Shop:
    """What the runs of one call share: the last data set, and what is known to be missing."""

    def __init__(self, root: str | Path | None, options: dict | None, progress: bool):
        self.root, self.options, self.progress = root, options or {}, progress
        self.loaded: tuple = (None, None)
        self.no_data: dict[str, str] = {}
        self.no_weights: dict[str, str] = {}  # model -> why its weights are not to be had, "" where they are

    def data(self, name: str, size: int, exactly: bool = True) -> CxrDataset:
        """Return the data set, loaded once; with ``exactly=False`` in whatever size is at hand."""
        if name in self.no_data:
            raise _CannotRun(self.no_data[name])
        at_hand = self.loaded[0]
        if at_hand != (name, size) and (exactly or not at_hand or at_hand[0] != name):
            self.loaded = (None, None)  # let go of the old images first
            self.loaded = ((name, size), self._load(name, size))
        return self.loaded[1]

    def _load(self, name: str, size: int) -> CxrDataset:
        own = ":" in name or name == "phantom"  # the user's own choice, not a row of the plan
        for root in [None] if self.root is None or own else [self.root, None]:
            try:
                return load(name, size, root=root, progress=self.progress, **self.options)
            except FileNotFoundError:
                if own:
                    raise
        known = f"{name} ({DATA[name].title}, Kaggle: {DATA[name].handle})"
        self.no_data[name] = f"the data set {known} is not here and could not be downloaded"
        raise _CannotRun(self.no_data[name])

    def check_weights(self, recipe: Recipe) -> None:
        """Raise _CannotRun where a recipe wants weights that are not to be had."""
        if not recipe.model_options.get("pretrained"):
            return
        name = recipe.model
        if name not in self.no_weights:
            try:
                build_model(name, ("no", "yes"), pretrained=True, size=max(recipe.size, BACKBONES[name].smallest))
                self.no_weights[name] = ""
            except (ConnectionError, ImportError):
                self.no_weights[name] = f"the ImageNet weights of {name} are not here and could not be downloaded"
        if self.no_weights[name]:
            raise _CannotRun(self.no_weights[name])


@dataclass
class _Job:
    """One row with one seed."""

    row: Row
    recipe: Recipe
    data: str
    options: dict
    out: Path
    work: Path
    bootstrap: int
    command: str

    @property
    def name(self) -> str:
        return f"reproduce-{self.row.id}-seed{self.recipe.seed}"

    @property
    def path(self) -> Path:
        return self.out / f"{self.name}.json"

    def do(self, shop: _Shop, force: bool, progress: bool, announce: Callable | None) -> Outcome:
        """Keep the record that is there, or run and write it, or say why not."""
        before = _read(self.path)
        if before and "training" in before and not force:
            try:
                if self._is_same(before, shop.data(self.data, self.recipe.read_size).fingerprint):
                    return self._outcome("kept", record=before)
            except _CannotRun:
                pass
        reasons = self._missing(lambda: shop.check_weights(self.recipe))
        # Where the weights are missing, images of any size tell whether the data is there.
        reasons += self._missing(
            lambda: self._check_split(shop.data(self.data, self.recipe.read_size, exactly=not reasons))
        )
        if reasons:
            return self._cannot("; ".join(reversed(reasons)), before)
        images = shop.data(self.data, self.recipe.read_size)
        if announce:
            announce(self.row, self.recipe.seed, self.recipe)
        folder = self._folder(images.fingerprint)
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            how = {"protocol": self.row.protocol, "by": self.row.by, "options": self.options, "name": self.name}
            how |= {"bootstrap": self.bootstrap, "progress": progress}
            done = run(self.data, self.recipe, data=images, folder=folder, **how)
        except (ValueError, RuntimeError, OSError, MemoryError) as error:  # one bad row must not end a long night
            text = str(error).strip() or type(error).__name__
            return self._outcome("failed", text.splitlines()[0])
        record = done.record | {"reproduction": self._what(), "command": self.command}
        if unlike := _unlike_kaggle(self.data, images):
            record["data"] |= {"stand_in": unlike}
        write_json(self.path, record)
        for checkpoint in folder.glob("checkpoint*.pt"):  # as large as three models; model.pt stays
            checkpoint.unlink()
        return self._outcome("ran", record=record)

    @staticmethod
    def _missing(check: Callable) -> list[str]:
        try:
            check()
        except _CannotRun as error:
            return [str(error)]
        return []

    def _check_split(self, images: CxrDataset) -> None:
        needed = {"train", "test", *PROTOCOLS[self.row.protocol][0]} if self.row.protocol != "pooled" else set()
        if missing := needed - set(images.table["split"].astype(str)):
            what = f"the official {' and '.join(sorted(missing))} images"
            where = f"this copy of {self.data.partition(':')[0]} does not have"
            raise _CannotRun(f"the split {self.row.protocol} needs {what}, which {where}")

    def _is_same(self, record: dict, fingerprint: str) -> bool:
        ours = {"fingerprint": fingerprint, "protocol": self.row.protocol, "by": self.row.by}
        try:
            theirs, recipe = record["data"], record["training"]["recipe"]
            then = _decisions(Recipe().to_dict() | recipe)  # a record may be older than a field
            return then == _decisions(self.recipe.to_dict()) and all(theirs.get(k) == v for k, v in ours.items())
        except (AttributeError, LookupError, TypeError):  # not written by `cxr reproduce`
            return False

    def _folder(self, fingerprint: str) -> Path:
        """Return a folder for this very run: another recipe or other images never find its checkpoint."""
        text = json.dumps([_decisions(self.recipe.to_dict()), fingerprint, self.row.protocol, self.row.by])
        return self.work / f"{self.row.id}-seed{self.recipe.seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def _cannot(self, reason: str, before: dict | None) -> Outcome:
        if before and "training" in before:  # measured elsewhere: that is worth more than "not here"
            return self._outcome("kept", reason, before)
        record = {
            "format": RESULT_FORMAT, "kind": NOT_RUN, "name": self.name, "reproduction": self._what(),
            "recipe": self.recipe.to_dict(),
            "data": {"source": public_name(self.data), "protocol": self.row.protocol, "by": self.row.by},
            "reason": reason, "command": self.command,
        }  # fmt: skip
        if record != before:
            write_json(self.path, record)
        return self._outcome(NOT_RUN, reason, record)

    def _what(self) -> dict:
        row = self.row
        return {"row": row.id, "source": row.source, "experiment": row.experiment, "recipe": row.recipe}

    def _outcome(self, status: str, reason: str = "", record: dict | None = None) -> Outcome:
        return Outcome(self.row, self.recipe.seed, status, reason, record, self.path if record else None)


def _unlike_kaggle(name: str, images: CxrDataset) -> str:
    """Say how the images differ in number from Kaggle's set of that name; "" where they do not."""
    counts = images.table["class"].value_counts()
    parts = [f"{counts.get(c, 0):,} of {n:,} {c}" for c, n in KAGGLE.get(name, {}).items() if counts.get(c, 0) != n]
    return f"not Kaggle's own copy of {name}, by its counts: {', '.join(parts)}" if parts else ""


def _decisions(recipe: dict) -> dict:
    return {k: v for k, v in recipe.items() if k != "about"}


def _read(path: Path) -> dict | None:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
