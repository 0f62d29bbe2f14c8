"""The commands `cxr grade`, `lungs`, `predictions`, `reproduce`, `train-lungs`, which are entry points for `cxr`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrlib.cli import note, option_load, read_options

if TYPE_CHECKING:
    from cxrlib.recipe import Recipe

    from .grade import Exercise, Limits
    from .reproduce import Row

# The rest is imported inside the commands, so that `cxr --help` answers at once.
FOLDER, FILE = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("exercise")
@click.argument("submissions", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=FOLDER, help="Folder for the grades [default: graded/EXERCISE].")
@click.option("--jobs", "-j", type=click.IntRange(1), help="Submissions at a time [default: one per processor core].")
@click.option(
    "--roster", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Class list: the Canvas gradebook or Moodle grading worksheet as exported, or a CSV with id, name, "
    "email. Comes back as roster.csv with the points filled in.",
)  # fmt: skip
@click.option("--column", default="", help="Title of the roster's column for the points [default: the exercise's].")
@click.option("--resume", is_flag=True, help="Continue a batch; what is graded is kept.")
@click.option("--seed", type=click.IntRange(0), help="Of the checks' inputs [default: drawn once per batch].")
@click.option(
    "--timeout", type=click.FloatRange(1), default=180, show_default=True,
    help="Seconds that one submission may take in all; one cell a third of it, one call a sixth.",
)  # fmt: skip
@click.option(
    "--course", "courses", type=click.Path(path_type=Path, exists=True, file_okay=False), multiple=True,
    help="Folder with exercises/ and solutions/ [default: this one]. Repeatable: the first that has the "
    "exercise counts, so name a private overlay before the public course.",
)  # fmt: skip
@click.option("--dask", metavar="ADDRESS", help="Judge on the workers of this Dask scheduler, e.g. tcp://HOST:8786.")
@click.option("--unsafe", is_flag=True, help="Without a sandbox: every submission runs with all your rights.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option(
    "--json", "as_json", is_flag=True,
    help="For a continuous integration: print the result of one notebook as JSON; exit code 0 for all points, else 1.",
)  # fmt: skip
def grade(
    exercise: str, submissions: Path, out: Path | None, seed: int | None, timeout: float, courses: tuple[Path, ...],
    unsafe: bool, quiet: bool, as_json: bool, **batched,
) -> None:  # fmt: skip
    """Grade the SUBMISSIONS of an EXERCISE in a sandbox.

    EXERCISE is a name in exercises/, or its beginning: 03. SUBMISSIONS is a folder of notebooks, or of folders, one per
    student, or a folder or zip as Canvas or Moodle export it.

    \b
    Writes below --out:
      summary.html    for you: what went wrong where, what needs a look
      grades.csv      one row per student, one column per task
      feedback/       one page per student
      gradescope/     one results.json per student
      results/        everything, one JSON file per student
    """
    from .grade import Limits, SandboxMissing, grade_batch, load_exercise

    loaded, limits = load_exercise(exercise, *(courses or (Path("."),))), Limits.within(timeout)
    if as_json:
        _grade_one(loaded, submissions, seed, limits, unsafe)
        return
    out = out or Path("graded") / loaded.name
    if unsafe:
        click.secho("note: --unsafe: the submissions run with all your rights", fg="yellow", err=True)
    try:
        how = {"seed": seed, "limits": limits, "unsafe": unsafe, "progress": not quiet}
        batch = grade_batch(loaded, submissions, out, **how, **batched)  # jobs, roster, column, resume, dask
    except SandboxMissing as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.ClickException(f"stopped; what is graded is in {out}. Continue it with --resume") from None
    counts = ", ".join(f"{count} {status}" for status, count in batch.counts().items())
    click.echo(f"{len(batch.results)} student{'' if len(batch.results) == 1 else 's'}: {counts}")
    for warning in batch.warnings:
        click.secho(f"note: {warning}", fg="yellow", err=True)
    if batch.pairs:
        click.echo(f"{len(batch.pairs)} pairs of near-identical answers: see the summary")
    pages = f"grades.csv beside it, and one page per student in {out / 'feedback'}"
    click.echo(f"wrote {out / 'summary.html'}, {pages}", err=True)


def _grade_one(exercise: Exercise, notebook: Path, seed: int | None, limits: Limits, unsafe: bool) -> None:
    """Print the result of one notebook; a summary in Markdown goes where GitHub shows it."""
    import json
    import os
    import secrets

    from .grade import SandboxFailed, SandboxMissing, judge
    from .grade.report import for_student, markdown

    if not notebook.is_file():
        raise click.UsageError("--json is for one notebook: give its file")
    try:
        data, seed = notebook.read_bytes(), secrets.randbelow(2**31) if seed is None else seed
        result = for_student(judge(exercise, data, seed=seed, limits=limits, unsafe=unsafe))
    except (SandboxMissing, SandboxFailed, OSError) as error:
        raise click.ClickException(f"not graded: {error}") from error
    click.echo(json.dumps({**result, "seed": seed}, indent=1, ensure_ascii=False))
    summary = markdown(result, exercise.title or exercise.name)
    click.echo(summary, err=True)
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(page, "a", encoding="utf-8") as file:
            file.write(summary + "\n")
    raise SystemExit(0 if result["points"] == result["max_points"] else 1)


@click.command()
@click.argument("sources", nargs=-1, metavar="[A|B|C|D|E|all]...")
@click.option("--list", "show", is_flag=True, help="Print the plan (with sources or rows: that part) and run nothing.")
@click.option("--row", "ids", multiple=True, metavar="ID", help="One row instead of a whole source. Repeatable.")
@click.option(
    "--data-root", "--root", "root", type=click.Path(path_type=Path),
    help="Local copy of a Kaggle data set (else the variable CXR_DATA_DIR, else a download).",
)  # fmt: skip
@click.option(
    "--out", type=FOLDER,
    help="Folder for the records [default: results; with --fast, --epochs, --size or --data: runs/tries].",
)  # fmt: skip
@click.option(
    "--work", type=FOLDER, default=Path("runs/reproduce"), show_default=True,
    help="Folder for models, and for the checkpoints that a killed run continues from.",
)  # fmt: skip
@click.option("--seed", "seeds", type=click.IntRange(0), multiple=True, help="Instead of the plan's seeds. Repeatable.")
@click.option("--force", is_flag=True, help="Run again what is recorded.")
@click.option("--fast", is_flag=True, help="To try it: one epoch, 64 px, one seed.")
@click.option("--epochs", type=click.IntRange(1), help="Epochs instead of the recipes'.")
@click.option("--size", type=click.IntRange(16), help="Image height and width in pixels instead of the recipes'.")
@click.option("--data", help="Another data set for all rows, to try it: phantom, folder:PATH ...")
@option_load
@click.option("--quiet", is_flag=True, help="No progress bar.")
def reproduce(
    sources: tuple[str, ...], show: bool, ids: tuple[str, ...], out: Path | None, seeds: tuple[int, ...], fast: bool,
    epochs: int | None, size: int | None, data: str | None, options: tuple[str, ...], quiet: bool, **rest,
) -> None:  # fmt: skip
    """Run the experiments of the course's five source projects again, and record them.

    Each run becomes one JSON file in --out: recipe, data, split, seed, versions, hardware, time, curves, and the scores
    with 95 % intervals (bootstrap over patients). No image and no folder of this machine is in it. A run that is
    recorded with the same recipe, images, split and seed is kept; started again after a kill, the command continues.
    What cannot run here, for want of data or weights, is recorded as not run, with the reason and the command.

    \b
      cxr reproduce --list                              all rows
      cxr reproduce A --data-root PATH                  one source project
      cxr reproduce --row A-v6-lite0 --data-root PATH   one row
      cxr reproduce all --data phantom --fast           a try with nothing downloaded
    """
    from cxrlib.device import processes_started

    from .reproduce import reproduce as runs
    from .reproduce import select

    if processes_started() > 1:
        raise click.UsageError("reproduce runs in one process; it is `cxr train` that can use several")
    rows = select(sources or (() if ids or not show else ("all",)), ids)
    if not rows:
        raise click.UsageError("name a source (A, B, C, D, E or all) or a --row; --list shows the plan")
    if show:
        click.echo(_plan_table(rows))
        return
    tried = fast or epochs or size or data
    out = out or Path("runs/tries" if tried else "results")
    total = sum(len(seeds or (row.seeds[:1] if fast else row.seeds)) for row in rows)
    count, failed = {}, []

    def announce(row: Row, seed: int, recipe: Recipe) -> None:
        what = f"{row.experiment}; {recipe.model}, {recipe.size} px, up to {recipe.epochs} epochs"
        click.echo(f"[{sum(count.values()) + 1}/{total}] {row.id}, seed {seed}: {what}")

    rest |= {"seeds": seeds or None, "fast": fast, "epochs": epochs, "size": size, "data": data, "out": out}
    rest |= {"options": read_options(options), "progress": not quiet, "announce": announce}
    try:
        for done in runs(rows, **rest):  # root, work and force among them
            count[done.status] = count.get(done.status, 0) + 1
            line = f"[{sum(count.values())}/{total}] {done.row.id}, seed {done.seed}: {done.status}"
            if done.record and "test" in done.record:
                values = done.record["test"]["values"]
                line += f", test accuracy {values['accuracy']:.3f}"
                if done.status == "ran":
                    line += f", {done.record['training']['seconds'] / 60:.1f} min"
            line += f" ({done.reason})" if done.reason else ""
            color = {"failed": "red", "not run": "yellow"}.get(done.status)
            click.secho(line, err=done.status == "failed", fg=color)
            if done.status == "failed":
                failed.append(done.row.id)
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command continues where it was") from None
    click.echo(", ".join(f"{n} {status}" for status, n in count.items()) + f"; the records are in {out}")
    if failed:
        raise click.ClickException(f"failed: {', '.join(dict.fromkeys(failed))}")


def _plan_table(rows: list[Row]) -> str:
    """Return the plan as text, one line per row."""
    from cxrlib import reported

    from .reproduce import recipes

    figures = reported().set_index(["source", "experiment"])["accuracy"]
    lines = [("row", "experiment", "model", "data", "split", "px", "epochs", "seeds", "reported")]
    for row in rows:
        recipe, accuracy = recipes[row.recipe], figures[row.source, row.experiment]
        split = row.protocol + (" by image" if row.by == "image" else "")
        length = (str(recipe.size), str(recipe.epochs), " ".join(map(str, row.seeds)))
        figure = "" if accuracy != accuracy else f"{accuracy:.3f}"
        lines.append((row.id, row.experiment, recipe.model, row.data, split, *length, figure))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


@click.command()
@click.argument("path", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder for masks/, contact sheets and lungs.csv.")
@click.option(
    "--weights", type=FILE,
    help="A file of `cxr train-lungs` instead of the weights that come with cxrlib.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress bar.")
def lungs(path: Path, out: Path, weights: Path | None, quiet: bool) -> None:
    """Find the lungs in a folder of chest X-rays: a mask per image, and contact sheets with the outlines.

    For frontal views. An image in which no two lungs are found gets an empty mask and is named. The sheets show your
    images: keep them where those may be.
    """
    from .lung_folder import write_lungs

    table = write_lungs(path, out, weights=weights, progress=not quiet)
    missing = table[table["reason"] != ""]
    click.echo(f"lungs found in {len(table) - len(missing)} of {len(table)} files; masks, sheets, lungs.csv in {out}")
    if len(missing):
        told = "; ".join(f"{row.file}: {row.reason}" for row in missing.head(5).itertuples())
        note(f"{len(missing)} without lungs: {told}{'; ...' if len(missing) > 5 else ''}. All are in lungs.csv")


@click.command("train-lungs")
@click.option("--out", type=FILE, required=True, help="The weights, an .npz file of half a megabyte.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random.")
@click.option("--steps", type=click.IntRange(1), help="Optimizer steps instead of the recipe's.")
@click.option("--phantoms", type=click.IntRange(1), help="Phantoms of each age instead of the recipe's.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def train_lungs(out: Path, quiet: bool, **changes: int | None) -> None:
    """Train the network behind `cxr lungs` on phantoms alone; seed 0 gives the weights that come with cxrlib."""
    from .lung_training import LungsRecipe, save_weights
    from .lung_training import train_lungs as train_network

    recipe = LungsRecipe(**{name: value for name, value in changes.items() if value is not None})
    save_weights(train_network(recipe, progress=not quiet), out)
    click.echo(f"wrote {out}", err=True)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=FILE, default=Path("predictions.html"), show_default=True, help="The page.")
def predictions(folder: Path, out: Path) -> None:
    """Show what a class predicted, beside what was measured.

    FOLDER holds the files that students saved in the book (Save my guesses, below a chapter's title) and handed in; a
    folder per student, as learning systems export them, will do. Run it in the course's folder, or in a copy of it.
    """
    from cxrlib.files import atomic_path

    from .build_book import chapters
    from .build_notes import say_unusual
    from .course import ROOT
    from .questions.classroom import page
    from .questions.predictions import happened_in, of_chapter, title_of

    happened = happened_in(ROOT)
    try:
        asked = [(path.stem, title_of(path), of_chapter(path, happened.get(path.stem))) for path in chapters()]
        text = page(folder, asked)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    with atomic_path(out) as part:
        part.write_text(text, encoding="utf-8")
    say_unusual(ROOT / "_build")
    click.echo(f"wrote {out}", err=True)
