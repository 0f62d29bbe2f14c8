"""The `cxr` command."""

from __future__ import annotations

import json
import shlex
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ._controls import Controls
    from .data import CxrDataset
    from .recipe import Recipe

# torch and the rest are imported inside the commands, so that `cxr --help` answers at once.

KNOWN = "phantom (built in), pneumonia, pneumonia3, pneumonia4, lung4 (Kaggle), or folder:PATH for your own images."


class _Friendly(click.Group):
    """Shows errors that the library raises on purpose as one sentence, without a traceback.

    Other packages add commands through entry points of the group "cxrlib.commands"; coursekit does.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List this module's commands and the added ones."""
        return sorted({*super().list_commands(ctx), *entry_points(group="cxrlib.commands").names})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Find the command of a name, imported when it is asked for."""
        if found := super().get_command(ctx, name):
            return found
        added = entry_points(group="cxrlib.commands")
        if name in added.names:
            return added[name].load()
        if name in ("grade", "lungs", "predictions", "reproduce", "train-lungs"):
            remedy = "from a copy of the course's repository, pip install ./coursekit"
            raise click.UsageError(f"`cxr {name}` comes with the package coursekit, which is not installed: {remedy}")
        return None

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; its warnings become notes."""
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: note(str(message))
            try:
                return super().invoke(ctx)
            except (ValueError, OSError, ModuleNotFoundError) as error:
                if ctx.params.get("debug"):
                    raise
                raise click.ClickException(str(error)) from error


def note(text: str) -> None:
    """Say something that the user should know, on stderr."""
    click.secho(f"note: {text}", fg="yellow", err=True)


@click.group(cls=_Friendly, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cxrlib", prog_name="cxr")
@click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
def main(debug: bool) -> None:
    """Deep learning on chest X-rays: look at data, train, evaluate, grade exercises.

    \b
    Try it without downloading anything:
      cxr data phantom
      cxr train --data phantom --recipe baseline --epochs 3 --size 64
    On your own images, sorted into train/CLASS and test/CLASS:
      cxr train --data folder:PATH --recipe augmented

    This is a course, not a medical device.
    """


def read_options(text: tuple[str, ...]) -> dict:
    """``-o n=600`` -> {"n": 600}; values are JSON where they can be read as such, else text."""
    found = {}
    for item in text:
        key, sep, value = item.partition("=")
        if not sep or not key.isidentifier():
            raise click.BadParameter(f"{item[:80]!r} is not of the form NAME=VALUE, e.g. n=600", param_hint="-o")
        if key in ("name", "size", "root", "progress"):
            others = "--size, --root and --quiet are options of the command itself"
            raise click.BadParameter(f"{key} is not an option of a data source; {others}", param_hint="-o")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


FILE, FOLDER, PLACE = (click.Path(path_type=Path, **k) for k in ({"dir_okay": False}, {"file_okay": False}, {}))
ROOT_HELP = "Local copy of a Kaggle data set (else the variable CXR_DATA_DIR, else a download)."
LOAD_HELP = "Option of the data source, e.g. -o n=600 for the phantom. Repeatable."
option_root = click.option("--root", type=PLACE, help=ROOT_HELP)
option_load = click.option("-o", "--option", "options", multiple=True, metavar="NAME=VALUE", help=LOAD_HELP)
CONTROLS_HELP = """Also ask what tells the classes apart: train small networks on images with the lungs covered, only
the lungs, without border or without markers. About a minute per thousand images."""
option_quiet = click.option("--quiet", is_flag=True, help="No progress bar.")


@main.command()
@click.argument("name", default="phantom")
@click.option("--size", default=128, show_default=True, help="Height and width of the images in pixels.")
@option_root
@option_load
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON.")
@click.option("--html", type=FILE, help="Write the audit, and examples of the controls, to a web page.")
@click.option("--controls", is_flag=True, help=CONTROLS_HELP)
@click.option("--against", metavar="OTHER", help="Also find its images in another data set, named as NAME is.")
@option_quiet
def data(
    name: str, size: int, root: Path | None, options: tuple[str, ...], as_json: bool, html: Path | None, controls: bool,
    against: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Load a data set (once: it is cached) and audit it.

    NAME is phantom (built in), pneumonia, pneumonia3, pneumonia4, lung4 (Kaggle), or folder:PATH.
    """
    from . import audit, load

    loaded = load(name, size, root=root, progress=not quiet, **read_options(options))
    other = load(against, size, progress=not quiet) if against else None
    found = [audit(loaded, other, progress=not quiet)]
    if controls:
        found.append(_controls(loaded, progress=not quiet))
    if html:
        from .files import write_page

        content = "".join(part._repr_html_() for part in found)
        write_page(html, f"Audit of {name}", f"<div style='font-family:sans-serif'>{content}</div>")
        click.echo(f"wrote {html}", err=True)
    told = found[0].to_dict() | ({"controls": found[1].to_dict()} if controls else {})
    click.echo(json.dumps(told, indent=1) if as_json else "\n\n".join(map(str, found)))


def _controls(data: CxrDataset, progress: bool) -> Controls:
    """Train and score the controls on images of different patients, none of them of the official test split."""
    from . import split
    from ._controls import VERSIONS
    from .shortcut import controls

    train, scored, _ = split(data[data.splits != "test"], val=0.25, test=0.0)
    note(
        f"controls: {len(VERSIONS)} small networks are trained on {len(train):,} images and scored on {len(scored):,} "
        "of other patients. The official test split, where there is one, is not used"
    )
    return controls(train, scored, progress=progress)


PROTOCOL_HELP = """A source project's split: val10, train82, merged82 or pooled. Default: the official test split, and
a validation split from the rest by patient."""
BY_HELP = "What a split keeps together. `picture`: near-duplicates, too. `image` leaks patients, to show just that."
MULTILABEL_HELP = "One output per finding, for those that come together: the class a+b has the findings a and b."
ATTEND_HELP = "Penalize what lies outside of this region in the class activation maps of training images."
OUT_HELP = """Folder for model.pt, result.json, predictions.json and the checkpoint [default: runs/RECIPE-DATA-seedN].
Started again with the same folder, a killed run continues."""


@main.command()
@click.option("--data", "source", default="phantom", show_default=True, help=KNOWN)
@click.option("--recipe", "recipe_name", default="baseline", show_default=True, help="One of `cxr recipes`.")
@click.option("--model", help="Another model than the recipe's, e.g. resnet18 or CPCPCPFDD.")
@click.option("--multilabel", is_flag=True, help=MULTILABEL_HELP)
@click.option("--size", type=click.IntRange(16), help="Image height and width in pixels instead of the recipe's.")
@click.option("--crop", type=click.Choice(["lungs"]), help="Cut each image to the box around its lungs first.")
@click.option("--attend", type=click.Choice(["lungs", "lesion"]), help=ATTEND_HELP)
@click.option(
    "--attend-weight",
    type=click.FloatRange(0),
    help="Weight of this penalty in the loss, instead of the recipe's (0.3).",
)
@click.option("--epochs", type=click.IntRange(1), help="Epochs instead of the recipe's.")
@click.option("--batch-size", type=click.IntRange(1), help="Images in one step instead of the recipe's.")
@click.option("--lr", type=float, help="Learning rate instead of the recipe's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of split, weights, image order.")
@click.option("--protocol", help=PROTOCOL_HELP)
@click.option(
    "--by", type=click.Choice(["patient", "image", "picture"]), default="patient", show_default=True, help=BY_HELP
)
@click.option("--out", type=FOLDER, help=OUT_HELP)
@click.option("--record", type=FILE, help="Also write the result to this file.")
@option_root
@option_load
@option_quiet
def train(
    source: str, recipe_name: str, multilabel: bool, protocol: str | None, by: str, out: Path | None,
    record: Path | None, root: Path | None, options: tuple[str, ...], quiet: bool, **changes: str | float | None,
) -> None:  # fmt: skip
    """Train a model by a named recipe and score it on the test split.

    Everything is chosen on validation patients; the test split is scored once, at the end. Ctrl-C stops; the same
    command continues.

    \b
    On several GPUs or processes, which share the recipe's batch:
      torchrun --nproc_per_node 4 -m cxrlib train ...
    """
    from torch import distributed

    from . import recipes
    from .experiment import run
    from .files import write_json
    from .run import public_name

    chosen = _recipe(recipes, recipe_name).replace(**{k: v for k, v in changes.items() if v is not None})
    if changes["model"]:
        chosen = chosen.replace(model_options={})  # options of the recipe's own model may not fit another
    if multilabel:
        chosen = chosen.replace(model_options=chosen.model_options | {"multilabel": True})
    name = f"{recipe_name}-{public_name(source).replace(':', '-')}-seed{chosen.seed}"
    out = out or Path("runs") / name
    how = {"protocol": protocol, "by": by, "root": root, "options": read_options(options)}
    try:
        done = run(source, chosen, folder=out, name=name, progress=not quiet, **how)
    except KeyboardInterrupt:
        text = "stopped: nothing was scored. The same command continues after the last finished epoch"
        raise click.ClickException(text) from None
    finally:
        if distributed.is_available() and distributed.is_initialized():  # close the group, as torch asks for
            distributed.destroy_process_group()
    if done is None:  # one of several processes, and not the first
        return
    if done.history.resumed_at == len(done.history.epochs):
        note(f"the run in {out} was finished before: nothing was trained now")
    done.record["command"] = _command(source, recipe_name, {**changes, "protocol": protocol, "by": by}, options)
    if multilabel:
        done.record["command"] += " --multilabel"
    done.save(out)
    if record:
        write_json(record, done.record)
    click.echo(f"{done.history}\nvalidation: {done.validation}\ntest:       {done.test}")
    click.echo(f"wrote {out / 'model.pt'} and {out / 'result.json'}" + (f" and {record}" if record else ""), err=True)


def _command(source: str, recipe: str, settings: dict, options: tuple[str, ...]) -> str:
    """Write the command that repeats a run, without any folder of this machine."""
    from .run import public_name

    words = ["cxr", "train", "--data", public_name(source), "--recipe", recipe]
    names = ("model", "size", "crop", "attend", "attend_weight", "epochs", "batch_size", "lr", "seed", "protocol", "by")
    for name in names:
        if (value := settings[name]) is not None and (name, value) != ("by", "patient"):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *(word for option in options for word in ("-o", option))])


def _recipe(recipes: dict, name: str) -> Recipe:
    """Find the recipe of a name: the course's, or one that another package adds."""
    from .validate import one_of

    if name not in recipes:
        for entry in entry_points(group="cxrlib.recipes"):
            recipes = recipes | entry.load()
    return recipes[one_of("recipe (`cxr recipes` lists them)", name, recipes)]


PARTS = ("train", "val", "test")
MAP_HELP = """What a class of the images counts as, where the names differ: tuberculosis=pneumonia; hernia= leaves its
images out; normal alone asks for normal against anything else. Repeatable."""
SPLIT_HELP = "Of the run's own images: its own split. Of others: what the data set calls so."


@main.command()
@click.argument("run", type=PLACE)
@click.option("--data", "source", help=f"Default: the images that the run was trained and tested on. Else: {KNOWN}")
@click.option("--split", "part", type=click.Choice([*PARTS, "all"]), default="test", show_default=True, help=SPLIT_HELP)
@click.option("--map", "mapped", multiple=True, metavar="THEIRS=OWN", help=MAP_HELP)
@click.option("--threshold", type=float, help="Decide for the second of two classes (or each finding) here, too.")
@click.option("--out", type=FILE, help="Write the report to this JSON file.")
@option_root
@option_load
@option_quiet
def evaluate(
    run: Path, source: str | None, part: str, mapped: tuple[str, ...], threshold: float | None, out: Path | None,
    root: Path | None, options: tuple[str, ...], quiet: bool,
) -> None:  # fmt: skip
    """Score a finished RUN (a folder of `cxr train`) as it was recorded, or on other images.

    Image size, normalization, test-time augmentation and precision are the run's. Two classes are decided at 0.5 and at
    the threshold that the run chose on its validation images. RUN may also be a file of `save_model`: then the
    images are scored as they are. Images of other classes are scored, too: see --map. A run of normal and one other
    class takes all others for that.
    """
    from . import Run, load, load_model
    from . import evaluate as score
    from ._class_map import score_mapped
    from .files import write_json

    mapping = mapped[0] if len(mapped) == 1 and "=" not in mapped[0] else _mapping(mapped)

    if run.is_dir() or (run.name == "model.pt" and (run.parent / "result.json").exists()):
        opened = Run.open(run if run.is_dir() else run.parent)
        data = opened.load_data(source, root=root, progress=not quiet, **read_options(options))
        own = opened.split(data) if opened.trained_on(data) else None
        if own is None:
            other = (
                "this is not the data set that the run was trained on, or it was changed since, so that images of its"
            )
            note(f"{other} training may be among these: {part} is what the data set itself calls so")
        half, chosen = 0.5 if len(opened.classes) == 2 or opened.model.multilabel else None, opened.threshold
        images = _part(own, data, part)
        report = opened.evaluate(images, mapping=mapping, threshold=half, progress=not quiet)
        if own is None:
            note(f"for comparison, the run's own test images: {opened.test}")
    else:
        model = load_model(run)
        data = load(source or "phantom", model.config["size"], root=root, progress=not quiet, **read_options(options))
        images = _part(None, data, part)
        how = mapping, lambda x: score(model, x, progress=not quiet), model.multilabel
        report, chosen = score_mapped(images, model.classes, *how), None
    others = {}
    if chosen is not None:
        others["at_validation_threshold"] = report.at(chosen, "chosen on the validation images of the run")
    if threshold is not None:
        others["at_threshold"] = report.at(threshold, "given")
    click.echo(report.table.to_string(float_format=lambda v: f"{v:.3f}", na_rep="–"))
    click.echo("\n".join(map(str, (report, *others.values()))))
    if out:
        write_json(out, report.to_dict() | {name: other.to_dict() for name, other in others.items()})
        click.echo(f"wrote {out}", err=True)


def _mapping(mapped: tuple[str, ...]) -> dict[str, str | None]:
    """``tuberculosis=pneumonia`` -> {"tuberculosis": "pneumonia"}; nothing after the sign is None."""
    if other := [item for item in mapped if "=" not in item]:
        raise click.BadParameter(f"{other[0][:80]!r} is not of the form THEIRS=OWN", param_hint="--map")
    found = dict(item.partition("=")[::2] for item in mapped)
    if len(found) < len(mapped):
        raise click.BadParameter("a class is named twice; give each of theirs once", param_hint="--map")
    return {theirs: ours or None for theirs, ours in found.items()}


def _part(own: tuple | None, data: CxrDataset, part: str) -> CxrDataset:
    """Take one part: of the run's own split where there is one, else what the data set itself calls so."""
    if part == "all":
        return data
    if own is not None:
        return own[PARTS.index(part)]
    if part in data.splits:
        return data.where(split=part)
    note(f"{data.name} has no split {part}; all {len(data)} images are scored")
    return data


@main.command()
@click.argument("run", type=FOLDER)
@click.argument("out", type=FILE)
def export(run: Path, out: Path) -> None:
    """Write the network of a finished RUN as an ONNX file, OUT, for programs without PyTorch.

    Classes, size, normalization, threshold, temperature, crop and views are stored in the file's metadata. It is
    compared with PyTorch before it is put in place. Needs the extra: pip install 'cxrlib[onnx]'.
    """
    from . import Run
    from .export import OPSET, export_onnx

    opened = Run.open(run)
    apart, side = export_onnx(opened, out), opened.recipe.size
    click.echo(
        f"wrote {out}: opset {OPSET}, input image (batch, 1, {side}, {side}) from 0 to 1, outputs logits and "
        f"probabilities of {', '.join(opened.classes)}; logits agree with PyTorch's to {apart:.0e}"
    )


@main.command()
@click.argument("run", required=False, type=PLACE)
@click.option("--port", type=click.IntRange(1, 65535), default=8866, show_default=True)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@option_quiet
def app(run: Path | None, port: int, no_browser: bool, quiet: bool) -> None:
    """Open a web page that looks at X-rays with a trained model.

    RUN is a folder that `cxr train` wrote. Without it, a small network is trained on phantoms first, into runs/app.
    The page is served by Voila, on this computer alone.
    """
    from .app import demo, serve

    folder = run or demo(Path("runs/app"), progress=not quiet)
    click.echo("Starting: the address of the page follows, Ctrl-C ends it.")
    serve(folder, port=port, browser=not no_browser)


@main.command("recipes")
def list_recipes() -> None:
    """List the named recipes of the course; `cxr reproduce --list` shows those of the source projects."""
    from . import recipes

    for name, recipe in recipes.items():
        click.echo(f"{name:25s} {recipe.model:19s} {recipe.size:4d} px  {recipe.epochs:3d} epochs  {recipe.about}")
