"""The source projects' experiments, run again: what `cxr reproduce` does.

``PLAN`` lists the runs, ``select`` picks some of them, ``reproduce`` runs them and writes one JSON record a run,
``why`` says in one sentence how far a record and its source are apart, and what differed.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cxrlib.data import PROTOCOLS, load
from cxrlib.experiment import RESULT_FORMAT, run
from cxrlib.files import has_shape, read_json, write_json
from cxrlib.models import BACKBONES, build_model
from cxrlib.recipe import Recipe
from cxrlib.recipe import recipes as course_recipes
from cxrlib.source_projects import SOURCES, reported

from .source_recipes import recipes as source_recipes
from .source_settings import settings

FAST = {"epochs": 1, "size": 64, "bootstrap": 100}  # and one epoch for the head
NOT_RUN = "not run"
recipes = course_recipes | source_recipes


@dataclass(frozen=True)
class Row:
    """One line of the plan: an experiment of a source, and the run that repeats it.

    ``id`` names it (and its records); ``source`` and ``experiment`` are those of ``reported()``; ``recipe`` is a name
    in ``recipes``; ``data`` a name for ``load``; ``protocol`` and ``by`` are those of ``split``.
    """

    id: str
    source: str
    experiment: str
    recipe: str
    data: str
    protocol: str
    by: str = "patient"
    seeds: tuple[int, ...] = (0,)


def _plan() -> Iterator[Row]:
    few = (0, 1, 2)  # where a run is cheap, or where the table needs to show what a seed alone changes
    names = reported().groupby("source", sort=False)["experiment"].apply(list)

    yield Row("A-baseline", "A", names["A"][0], "A-baseline", "pneumonia", "val10", seeds=few)
    for experiment, step in zip(names["A"][1:], ("frozen", "v1", "v2", "v3", "v4", "v5", "v6"), strict=True):
        for suffix in ("", "-lite0"):
            yield Row(f"A-{step}{suffix}", "A", experiment, f"A-{step}{suffix}", "pneumonia", "val10")

    bases = ("resnet50", "inception_resnet_v2", "efficientnet_b7", "efficientnet_b7-tuned")
    for experiment, base in zip(names["B"], bases, strict=True):
        yield Row(f"B-{base}", "B", experiment, f"B-{base}", "pneumonia4", "pooled")
    for experiment, base in zip(names["B"][2:], ("lite0", "lite0-tuned"), strict=True):
        yield Row(f"B-{base}-pneumonia3", "B", experiment, f"B-{base}", "pneumonia3", "val10")

    for experiment, variants in zip(
        names["C"],
        (
            ("resnet18", "resnet18-scratch"),
            ("resnet34", "resnet34-scratch"),
            ("efficientnet_b0", "efficientnet_b0-scratch", "lite0"),
            ("cyclic", "cyclic-scratch", "cyclic-lite0"),
        ),
        strict=True,
    ):
        for name in variants:
            yield Row(f"C-{name}", "C", experiment, f"C-{name}", "pneumonia", "train82")

    for experiment in names["D"]:
        layers, _, lr = experiment.partition(", lr ")
        recipe = f"lr-{lr}" if lr else f"layers-{layers}"
        seeds = few if experiment == "CPCFDD" else (0,)  # one layout shows what a seed alone changes
        name = f"D-{layers}" + (f"-lr-{lr}" if lr else "")
        # Image by image, as pooled images are cut by whoever does not ask for patients; then without that leak.
        yield Row(name, "D", experiment, recipe, "pneumonia", "pooled", by="image", seeds=seeds)
        if experiment == "CPCFDD":
            yield Row(f"{name}-by-patient", "D", experiment, recipe, "pneumonia", "pooled", seeds=seeds)
        yield Row(f"{name}-official", "D", experiment, recipe, "pneumonia", "val10", seeds=seeds)

    for experiment, name in zip(names["E"], ("cnn5", "resnet18", "resnet18-augmented"), strict=True):
        yield Row(f"E-{name}", "E", experiment, f"E-{name}", "lung4", "merged82")
        yield Row(f"E-{name}-pneumonia3", "E", experiment, f"E-{name}", "pneumonia3", "train82")


#: Every run, in the order of the sources.
PLAN: tuple[Row, ...] = tuple(_plan())


def select(sources: Iterable[str] = (), ids: Iterable[str] = ()) -> list[Row]:
    """The rows of some sources ("A" to "E", or "all") and the rows with these ids, in the order of the plan.

    Raises ValueError for a letter or an id that is not there.
    """
    letters, ids = {s.upper() for s in sources}, set(ids)
    if unknown := letters - {*SOURCES, "ALL"}:
        raise ValueError(f"there is no source {', '.join(sorted(unknown))}; sources are {', '.join(SOURCES)}, or all")
    if unknown := ids - {row.id for row in PLAN}:
        import difflib

        close = difflib.get_close_matches(min(unknown), [row.id for row in PLAN], n=1)
        raise ValueError(
            f"the plan has no row {', '.join(sorted(unknown))}"
            + (f"; did you mean {close[0]}?" if close else "")
            + " `cxr reproduce --list` shows all"
        )
    return [row for row in PLAN if row.source in letters or "ALL" in letters or row.id in ids]


@dataclass
class Outcome:
    """What became of one run: ``status`` is "ran", "kept" (its record was there), "not run" or "failed"."""

    row: Row
    seed: int
    status: str
    reason: str = ""
    record: dict | None = None
    path: Path | None = None


class _CannotRun(Exception):
    """Something is missing here: data, an official split, weights."""


def reproduce(
    rows: Iterable[Row],
    *,
    root=None,
    data: str | None = None,
    options: dict | None = None,
    out: str | Path = "results",
    work: str | Path = "runs/reproduce",
    seeds: Iterable[int] | None = None,
    epochs: int | None = None,
    size: int | None = None,
    fast: bool = False,
    bootstrap: int = 1000,
    force: bool = False,
    progress: bool = True,
    announce: Callable[[Row, int, Recipe], None] | None = None,
) -> Iterator[Outcome]:
    """Run rows of the plan one after another; yield an Outcome for each row and seed.

    A run writes ``out``/reproduce-ID-seedN.json when it is complete. A run whose record is there with the same recipe,
    images, split and seed is not repeated; a run that was killed continues from the checkpoint in ``work``. What cannot
    run here gets a record that says so, unless a measured one is there.

    Parameters
    ----------
    rows : from ``select``.
    root : a local copy of the data; where it does not hold a row's data set, the other places of ``load`` are tried.
    data, options : another data set for all rows, e.g. "phantom" with {"n": 200}.
    seeds : instead of each row's own.
    epochs, size : instead of the recipe's. ``fast`` is one epoch, 64 px, one seed, few bootstrap resamples.
    force : run again what is recorded.
    announce : called before a run that takes time.
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
            job = _Job(
                row,
                recipe,
                data or row.data,
                dict(options or {}),
                Path(out),
                Path(work),
                bootstrap,
                command(row, seed, data=data, options=options, epochs=epochs, size=size, fast=fast),
            )
            yield job.do(shop, force, progress, announce)


def command(row: Row, seed: int | None = None, *, data=None, options=None, epochs=None, size=None, fast=False) -> str:
    """The command that runs one row, without any folder of this machine."""
    from cxrlib.experiment import public_name

    words = ["cxr", "reproduce", "--row", row.id]
    for name, value in (("seed", seed), ("data", data and public_name(data)), ("epochs", epochs), ("size", size)):
        if value is not None:
            words += [f"--{name}", str(value)]
    for name, value in (options or {}).items():
        words += ["-o", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words + ["--fast"] * fast)


class _Shop:
    """What the runs of one call share: the last data set, and what is known to be missing."""

    def __init__(self, root, options, progress):
        self.root, self.options, self.progress = root, options or {}, progress
        self.loaded = (None, None)
        self.no_data: dict[str, str] = {}
        self.weights: dict[str, str] = {}  # model -> why its weights are not to be had, "" where they are

    def data(self, name: str, size: int, exactly: bool = True):
        if name in self.no_data:
            raise _CannotRun(self.no_data[name])
        if self.loaded[0] != (name, size) and (exactly or not self.loaded[0] or self.loaded[0][0] != name):
            self.loaded = (None, None)  # let go of the old images first
            self.loaded = ((name, size), self._load(name, size))
        return self.loaded[1]

    def _load(self, name: str, size: int):
        roots = [None] if self.root is None or ":" in name or name == "phantom" else [self.root, None]
        for root in roots:
            try:
                return load(name, size, root=root, progress=self.progress, **self.options)
            except FileNotFoundError:
                if ":" in name or name == "phantom":  # the user's own choice, not a row of the plan
                    raise
        from cxrlib.data.sources import SOURCES as KNOWN

        self.no_data[name] = (
            f"the data set {name} ({KNOWN[name].title}, Kaggle: {KNOWN[name].handle}) is not here "
            "and could not be downloaded"
        )
        raise _CannotRun(self.no_data[name])

    def check_weights(self, recipe: Recipe) -> None:
        if not recipe.model_options.get("pretrained"):
            return
        name = recipe.model
        if name not in self.weights:
            try:
                build_model(name, ("no", "yes"), pretrained=True, size=max(recipe.size, BACKBONES[name].smallest))
                self.weights[name] = ""
            except (ConnectionError, ImportError):
                self.weights[name] = f"the ImageNet weights of {name} are not here and could not be downloaded"
        if self.weights[name]:
            raise _CannotRun(self.weights[name])


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

    def do(self, shop: _Shop, force: bool, progress: bool, announce) -> Outcome:
        before = _read(self.path)
        if before and "training" in before and not force:
            try:
                if self._is_same(before, shop.data(self.data, self.recipe.size).fingerprint):
                    return self._outcome("kept", record=before)
            except _CannotRun:
                pass
        reasons = self._missing(shop.check_weights, self.recipe)
        # Where the weights are missing, images of any size tell whether the data is there.
        reasons += self._missing(lambda: self._check_split(shop.data(self.data, self.recipe.size, exactly=not reasons)))
        if reasons:
            return self._cannot("; ".join(reversed(reasons)), before)
        images = shop.data(self.data, self.recipe.size)
        if announce:
            announce(self.row, self.recipe.seed, self.recipe)
        folder = self._folder(images.fingerprint)
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            done = run(
                self.data,
                self.recipe,
                data=images,
                protocol=self.row.protocol,
                by=self.row.by,
                folder=folder,
                options=self.options,
                bootstrap=self.bootstrap,
                name=self.name,
                progress=progress,
            )
        except (ValueError, RuntimeError, OSError, MemoryError) as error:  # one bad row must not end a long night
            text = str(error).strip() or type(error).__name__
            return self._outcome("failed", text.splitlines()[0])
        record = done.record | {"reproduction": self._what(), "command": self.command}
        write_json(self.path, record)
        for checkpoint in folder.glob("checkpoint*.pt"):  # as large as three models; model.pt stays
            checkpoint.unlink()
        return self._outcome("ran", record=record)

    @staticmethod
    def _missing(check: Callable, *args) -> list[str]:
        try:
            check(*args)
        except _CannotRun as error:
            return [str(error)]
        return []

    def _check_split(self, images) -> None:
        needed = {"train", "test", *PROTOCOLS[self.row.protocol][0]} if self.row.protocol != "pooled" else set()
        if missing := needed - set(images.table["split"].astype(str)):
            raise _CannotRun(
                f"the split {self.row.protocol} needs the official {' and '.join(sorted(missing))} "
                f"images, which this copy of {self.data.partition(':')[0]} does not have"
            )

    def _is_same(self, record: dict, fingerprint: str) -> bool:
        if not has_shape(record, {"data": {}, "training": {"recipe": {}}}):
            return False
        theirs, ours = record["data"], {"fingerprint": fingerprint, "protocol": self.row.protocol, "by": self.row.by}
        then = _decisions(Recipe().to_dict() | record["training"]["recipe"])  # a record may be older than a field
        return then == _decisions(self.recipe.to_dict()) and all(theirs.get(k) == v for k, v in ours.items())

    def _folder(self, fingerprint: str) -> Path:
        """A folder for this very run: another recipe or other images never find its checkpoint."""
        text = json.dumps([_decisions(self.recipe.to_dict()), fingerprint, self.row.protocol, self.row.by])
        return self.work / f"{self.row.id}-seed{self.recipe.seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def _cannot(self, reason: str, before: dict | None) -> Outcome:
        if before and "training" in before:  # measured elsewhere: that is worth more than "not here"
            return self._outcome("kept", reason, before)
        from cxrlib.experiment import public_name

        record = {
            "format": RESULT_FORMAT,
            "kind": NOT_RUN,
            "name": self.name,
            "reproduction": self._what(),
            "recipe": _plain(self.recipe.to_dict()),
            "data": {"source": public_name(self.data), "protocol": self.row.protocol, "by": self.row.by},
            "reason": reason,
            "command": self.command,
        }
        if record != before:
            write_json(self.path, record)
        return self._outcome(NOT_RUN, reason, record)

    def _what(self) -> dict:
        return {
            "row": self.row.id,
            "source": self.row.source,
            "experiment": self.row.experiment,
            "recipe": self.row.recipe,
        }

    def _outcome(self, status: str, reason: str = "", record: dict | None = None) -> Outcome:
        return Outcome(self.row, self.recipe.seed, status, reason, record, self.path if record else None)


def _plain(value):
    """As it would come back from JSON."""
    return json.loads(json.dumps(value))


def _decisions(recipe: dict) -> dict:
    return {k: v for k, v in _plain(recipe).items() if k != "about"}


def _read(path: Path) -> dict | None:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


# -- why a record and its source differ ---------------------------------------------------------------------------

_WORDS = {
    "data": "data",
    "protocol": "split",
    "model": "model",
    "trainable": "layers that learn",
    "size": "image size",
    "epochs": "epochs",
    "batch_size": "batch",
    "lr": "learning rate",
    "early_stopping": "early stopping",
    "label_smoothing": "label smoothing",
    "schedule": "schedule",
    "schedule_options.base_lr": "lowest learning rate",
    "schedule_options.step_epochs": "epochs of a half cycle",
    "model_options.head_dropout": "dropout",
    "model_options.head_batchnorm": "batch norm in the head",
    "model_options.dropout": "dropout",
    "model_options.pretrained": "ImageNet weights",
    "model_options.filters": "filters",
    "model_options.hidden": "dense units",
}
_SPLIT_WORDS = {
    "val10": "a tenth of train for validation, official test images",
    "train82": "train cut 8:2, official test images",
    "merged82": "train and val merged and cut 8:2, official test images",
    "pooled": "all images pooled and cut again",
}
# What a reader wants to know even where the source does not tell.
_ASKED = ("model_options.pretrained", "size", "epochs", "batch_size", "lr")


def used(record: dict) -> dict:
    """The settings of a record by the names of ``settings``: data, protocol, and the fields of its recipe."""
    recipe = record.get("recipe") or record["training"]["recipe"]
    flat = {"model_options.pretrained": False} if recipe["model"] in BACKBONES else {}
    flat |= {"data": record["data"]["source"], "protocol": record["data"]["protocol"]}
    for name, value in recipe.items():
        flat |= {f"{name}.{k}": v for k, v in value.items()} if name.endswith("_options") else {name: value}
    return flat


def differing(record: dict) -> list[tuple[str, object, object]]:
    """The settings known of the source that a record does not share: (setting, the source's, the record's)."""
    what, ours = record["reproduction"], used(record)
    return [
        (name, theirs, ours.get(name))
        for name, theirs in settings(what["source"], what["experiment"]).items()
        if _plain(theirs) != _plain(ours.get(name))
    ]


def why(records: list[dict]) -> str:
    """One sentence: where the reported figure lies against these runs of one row (its seeds), and what differed."""
    record = records[0]
    what = record["reproduction"]
    known = settings(what["source"], what["experiment"])
    ours = used(record)
    parts = [_against(records)]
    changed = [
        f"{_WORDS[name]} {_say(name, here)} instead of {_say(name, theirs)}" for name, theirs, here in differing(record)
    ]
    parts.append(
        "unlike the source: " + "; ".join(changed)
        if changed
        else "nothing that is known of the source's setting differs"
    )
    if unknown := [
        f"{_WORDS[name]} (here {_say(name, ours[name])})" for name in _ASKED if name not in known and name in ours
    ]:
        parts.append("not known of the source: " + ", ".join(unknown))
    if record["data"]["by"] == "image":
        parts.append("cut image by image, so that a patient can be on both sides")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def _against(records: list[dict]) -> str:
    what = records[0]["reproduction"]
    frame = reported(what["source"])
    figures = frame[frame["experiment"] == what["experiment"]].iloc[0]
    for column, metric, name in (("accuracy", "accuracy", "accuracy"), ("auc", "auc", "AUC"), ("f1", "macro_f1", "F1")):
        value = figures[column]
        if value != value:  # NaN: not reported
            continue
        intervals = [r["test"]["intervals"].get(metric) or (None, None) for r in records]
        if any(None in pair for pair in intervals):  # undefined, or made without a bootstrap
            continue
        inside = sum(low <= value <= high for low, high in intervals)
        where = "interval" if len(records) == 1 else f"intervals of all {len(records)} seeds"
        if all(value > high for _, high in intervals):
            return f"the reported {name} is above the measured {where}"
        if all(value < low for low, _ in intervals):
            return f"the reported {name} is below the measured {where}"
        if len(records) == 1 or inside == len(records):
            return f"the reported {name} is inside the measured {where}"
        return f"the reported {name} is inside the intervals of {inside} of {len(records)} seeds"
    return "the source reported no figure that could be compared"


def _say(name: str, value) -> str:
    if name == "protocol":
        return _SPLIT_WORDS.get(value, "the course's own")
    if name == "size":
        return f"{value} px"
    if name == "trainable" and isinstance(value, int):
        return f"the top {value}"
    if isinstance(value, bool) or value is None:
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, list | tuple):
        return "/".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
